//! Urls of files and folders as absolute paths.
//!
//! Owns: `file://` and relative paths. Validation has refused other schemes.
//! Never: looks at a file system.

use std::path::{Component, Path, PathBuf};

/// The absolute path that a url of the manifest names; a glob keeps its wildcards.
pub(super) fn absolute(url: &str, base: &Path) -> Result<PathBuf, String> {
    match url.strip_prefix("file://") {
        Some(path) => Ok(tidy(Path::new(&decoded(path, url)?))),
        None => Ok(tidy(&base.join(url))),
    }
}

/// Without `.` and `..`.
fn tidy(path: &Path) -> PathBuf {
    let mut tidied = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                tidied.pop();
            }
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => tidied.push(part),
        }
    }
    tidied
}

fn decoded(path: &str, url: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let hex = tail.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match (first, hex.and_then(|hex| u8::from_str_radix(hex, 16).ok())) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            _ => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).map_err(|_| format!("`{url}`: the `%` codes are not UTF-8"))
}
