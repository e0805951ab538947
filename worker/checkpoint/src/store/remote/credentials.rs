//! Credentials in files: the one of Amazon's tools, and a folder with one for each, as a cluster mounts a Secret.
//!
//! Owns: where they are, and reading them anew for each request, so that what is replaced is used at once.
//! Never: keeps or shows what is in them.

use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use object_store::aws::AwsCredential;
use object_store::{CredentialProvider, Error, Result};

use super::Environment;

/// `~/.aws/credentials`, or what `AWS_SHARED_CREDENTIALS_FILE` names.
pub(super) struct SharedFile {
    path: PathBuf,
    profile: String,
}

impl SharedFile {
    /// The file, if there is one. One that is named must be there.
    pub(super) fn find(environment: Environment) -> std::result::Result<Option<Self>, String> {
        let profile = environment("AWS_PROFILE").unwrap_or_else(|| "default".to_owned());
        let named = environment("AWS_SHARED_CREDENTIALS_FILE").map(PathBuf::from);
        let is_named = named.is_some();
        let home = || environment("HOME").map(|home| PathBuf::from(home).join(".aws/credentials"));
        let Some(path) = named.or_else(home) else { return Ok(None) };
        let file = Self { path, profile };
        match file.read() {
            Ok(_) => Ok(Some(file)),
            Err(_) if !is_named && !file.path.exists() => Ok(None),
            Err(why) => Err(why),
        }
    }

    fn read(&self) -> std::result::Result<AwsCredential, String> {
        let path = self.path.display();
        let text = std::fs::read_to_string(&self.path)
            .map_err(|error| format!("cannot read the credentials file {path}: {error}"))?;
        let value = |name: &str| find(&text, &self.profile, name).map(str::to_owned);
        match (value("aws_access_key_id"), value("aws_secret_access_key")) {
            (Some(key_id), Some(secret_key)) => {
                Ok(AwsCredential { key_id, secret_key, token: value("aws_session_token") })
            }
            (None, _) | (_, None) => Err(format!(
                "the credentials file {path} has no aws_access_key_id and aws_secret_access_key in [{}]: add them, or \
                 name another profile with AWS_PROFILE",
                self.profile
            )),
        }
    }
}

#[async_trait]
impl CredentialProvider for SharedFile {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> Result<Arc<AwsCredential>> {
        let read = self.read();
        read.map(Arc::new).map_err(|why| Error::Generic { store: "S3", source: why.into() })
    }
}

impl fmt::Debug for SharedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedFile").field("path", &self.path).finish_non_exhaustive()
    }
}

/// A folder with a file for each part.
pub(super) struct Folder {
    path: PathBuf,
}

impl Folder {
    /// The folder. The files must be there.
    pub(super) fn open(path: &Path) -> std::result::Result<Self, String> {
        let folder = Self { path: path.to_owned() };
        folder.read()?;
        Ok(folder)
    }

    fn read(&self) -> std::result::Result<AwsCredential, String> {
        let needed = |name: &str| {
            self.part(name)?.ok_or_else(|| {
                let path = self.path.display();
                format!(
                    "{path} has no {name}: the Secret that `state.location.credentials` names needs that key"
                )
            })
        };
        Ok(AwsCredential {
            key_id: needed("AWS_ACCESS_KEY_ID")?,
            secret_key: needed("AWS_SECRET_ACCESS_KEY")?,
            token: self.part("AWS_SESSION_TOKEN")?,
        })
    }

    /// What a file says, without the line end that editors leave; nothing, if it is not there or empty.
    fn part(&self, name: &str) -> std::result::Result<Option<String>, String> {
        let path = self.path.join(name);
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(format!("cannot read {}: {error}", path.display())),
        }
    }
}

#[async_trait]
impl CredentialProvider for Folder {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> Result<Arc<AwsCredential>> {
        let read = self.read();
        read.map(Arc::new).map_err(|why| Error::Generic { store: "S3", source: why.into() })
    }
}

impl fmt::Debug for Folder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Folder").field("path", &self.path).finish_non_exhaustive()
    }
}

/// A value in a section of an INI file.
fn find<'a>(text: &'a str, section: &str, name: &str) -> Option<&'a str> {
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';']));
    let header =
        |line: &str| line.strip_prefix('[').and_then(|rest| Some(rest.split_once(']')?.0.trim().to_owned()));
    let inside = lines.skip_while(|line| header(line).as_deref() != Some(section)).skip(1);
    let mut pairs = inside.take_while(|line| header(line).is_none()).filter_map(|line| line.split_once('='));
    let (_, value) = pairs.find(|(key, _)| key.trim().eq_ignore_ascii_case(name))?;
    Some(value.trim()).filter(|value| !value.is_empty())
}
