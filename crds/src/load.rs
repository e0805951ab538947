//! From a file to a job, or to the list of everything that is wrong with it.
//!
//! Owns: reading the file; the order of the checks; which follow-on mistakes are not worth telling.
//! Never: opens anything that the manifest names.

use std::{fs, path::Path};

use crate::{
    FieldError, StreamJob,
    errors::{ManifestError, ManifestErrors, Position},
    validate::{Place, validate},
    yaml::{self, Node},
};

/// A manifest is a page or two; what is much larger is the wrong file.
const BYTES_MAX: u64 = 1 << 20;

/// A job together with the places of its fields, for mistakes that are found later.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// The job; [`validate`] finds nothing wrong with it.
    pub job: StreamJob,
    file: String,
    root: Node,
}

impl Manifest {
    /// Reads a file; see [`StreamJob::load`].
    pub fn load(path: &Path) -> Result<Self, ManifestErrors> {
        Self::load_for(path, Place::Machine)
    }

    /// Reads the file of a job that is to run in this place.
    pub fn load_for(path: &Path, place: Place) -> Result<Self, ManifestErrors> {
        let file = path.display().to_string();
        let bytes = read_file(path)
            .map_err(|message| ManifestErrors::new(&file, vec![ManifestError::new(None, "", message)]))?;
        match std::str::from_utf8(&bytes) {
            Ok(text) => Self::parse_for(text, &file, place),
            Err(error) => {
                let at = position_after(&bytes[..error.valid_up_to()]);
                let message = "not UTF-8: save the file as UTF-8".to_owned();
                Err(ManifestErrors::new(&file, vec![ManifestError::new(Some(at), "", message)]))
            }
        }
    }

    /// Reads a text; see [`StreamJob::parse`].
    pub fn parse(text: &str, file_name: &str) -> Result<Self, ManifestErrors> {
        Self::parse_for(text, file_name, Place::Machine)
    }

    /// Reads a text of a job that is to run there.
    pub fn parse_for(text: &str, file_name: &str, place: Place) -> Result<Self, ManifestErrors> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut mistakes = Vec::new();
        let document = match yaml::read::<StreamJob>(text, &mut mistakes) {
            Ok(document) => document,
            Err(mistake) => {
                mistakes.push(mistake);
                return Err(ManifestErrors::new(file_name, mistakes));
            }
        };
        let reliable =
            |error: &FieldError| !document.doubtful.iter().any(|doubtful| touches(&error.path, doubtful));
        for error in validate(&document.value, place).into_iter().filter(reliable) {
            mistakes.push(ManifestError::new(
                Some(document.root.locate(&error.path)),
                &error.path,
                error.message,
            ));
        }
        if mistakes.is_empty() {
            Ok(Self { job: document.value, file: file_name.to_owned(), root: document.root })
        } else {
            Err(ManifestErrors::new(file_name, mistakes))
        }
    }

    /// Gives mistakes that were found later, such as in expressions, the lines and columns of their fields.
    ///
    /// `errors` must not be empty.
    pub fn locate(&self, errors: &[FieldError]) -> ManifestErrors {
        let located = errors.iter().map(|error| {
            ManifestError::new(Some(self.root.locate(&error.path)), &error.path, error.message.clone())
        });
        ManifestErrors::new(&self.file, located.collect())
    }
}

impl StreamJob {
    /// Reads one job from a YAML (or JSON) file, and checks all that can be checked without compiling expressions.
    ///
    /// The error holds every mistake with its line, column, field and remedy.
    pub fn load(path: &Path) -> Result<Self, ManifestErrors> {
        Manifest::load(path).map(|manifest| manifest.job)
    }

    /// Does what [`StreamJob::load`] does with a text; `file_name` stands in the messages.
    pub fn parse(text: &str, file_name: &str) -> Result<Self, ManifestErrors> {
        Manifest::parse(text, file_name).map(|manifest| manifest.job)
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>, String> {
    let metadata =
        fs::metadata(path).map_err(|error| format!("cannot read the manifest: {error}; check the path"))?;
    if metadata.is_dir() {
        return Err("this is a folder: name the manifest in it".to_owned());
    }
    if metadata.len() > BYTES_MAX {
        return Err(format!("larger than {BYTES_MAX} bytes: is this a manifest?"));
    }
    fs::read(path).map_err(|error| format!("cannot read the manifest: {error}"))
}

fn position_after(bytes: &[u8]) -> Position {
    let line = 1 + bytes.iter().filter(|&&byte| byte == b'\n').count();
    let start = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |newline| newline + 1);
    Position { line, column: 1 + String::from_utf8_lossy(&bytes[start..]).chars().count() }
}

/// Whether a mistake at `path` may be only the consequence of the one at `doubtful`: it is about the same field,
/// something inside it, the mapping around it, or a neighbour.
fn touches(path: &str, doubtful: &str) -> bool {
    let inside =
        path.strip_prefix(doubtful).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']));
    doubtful.is_empty() || inside || path == parent(doubtful) || parent(path) == parent(doubtful)
}

fn parent(path: &str) -> &str {
    path.rfind(['.', '[']).map_or("", |end| &path[..end])
}
