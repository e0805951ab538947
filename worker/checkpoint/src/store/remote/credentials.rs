//! The credentials file of Amazon's tools.
//!
//! Owns: where it is, and reading it anew for each request, so that a file that is replaced is used at once.
//! Never: keeps or shows what is in it.

use std::fmt;
use std::path::PathBuf;
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
