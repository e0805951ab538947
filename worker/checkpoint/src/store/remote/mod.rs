//! State in an object store over the network.
//!
//! Owns: how such a store is reached: addresses, deadlines, where credentials come from.
//! Never: shows a credential, or tries again for long: `retry.rs` does.

use std::fmt;
use std::path::{Path as FolderPath, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey as Key, S3ConditionalPut};
use object_store::azure::MicrosoftAzureBuilder;
use object_store::client::HttpConnector as _;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::path::Path;
use object_store::{BackoffConfig, Certificate, ClientOptions, Error, ObjectStore, RetryConfig};

use super::{StateStore, StoreError};
pub use answer::Answer;
use answer::Answers;
use credentials::{Folder, SharedFile};
use uploads::{OfBucket, Uploads};

mod answer;
mod credentials;
#[cfg(test)]
mod tests;
pub(in crate::store) mod uploads;

/// A request that takes longer is given up. A part of an object is 8 MiB.
const REQUEST: Duration = Duration::from_secs(15);
const CONNECT: Duration = Duration::from_secs(3);
/// Shorter than stores keep a connection that nobody uses.
const IDLE: Duration = Duration::from_secs(15);

/// Whose store it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RemoteKind {
    /// Amazon S3, and what speaks like it.
    S3,
    /// Google Cloud Storage.
    Google,
    /// Azure Blob Storage.
    Azure,
}

/// A folder of an object store over the network.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Remote {
    /// Whose.
    pub kind: RemoteKind,
    /// The bucket or container.
    pub bucket: String,
    /// The folder in it; may be empty.
    pub prefix: String,
    /// The server. S3 only.
    pub endpoint: Option<String>,
    /// The region. S3 only.
    pub region: Option<String>,
    /// Whether the bucket is part of a request's path. S3 only.
    pub path_style: Option<bool>,
}

/// What the environment says under a name.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// What is said of a store in files, in place of the environment.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Access {
    /// A folder with the files `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and perhaps `AWS_SESSION_TOKEN`. S3 only.
    pub credentials: Option<PathBuf>,
    /// The authorities that the store's certificate is checked against, as PEM.
    pub ca: Option<PathBuf>,
}

/// A store, and what lists its uploads if that can be done.
type Opened = (Arc<dyn ObjectStore>, Option<Arc<dyn Uploads>>);

impl Remote {
    /// Opens it with what this process's environment says, as the tools of the store's owner read it. Asks nothing of
    /// the store yet.
    pub fn open(&self) -> Result<StateStore, StoreError> {
        self.open_in(&|name| std::env::var(name).ok())
    }

    /// The same, with what files say first. Credentials are read anew for each request.
    pub fn open_with(&self, access: &Access) -> Result<StateStore, StoreError> {
        let ca = access.ca.as_ref().map(|file| file.display().to_string());
        let environment: Environment = &|name| match name {
            "AWS_CA_BUNDLE" if ca.is_some() => ca.clone(),
            name => std::env::var(name).ok(),
        };
        self.opened(environment, access.credentials.as_deref())
    }

    /// The same with another environment. Only for S3; the others read that of the process.
    pub fn open_in(&self, environment: Environment) -> Result<StateStore, StoreError> {
        self.opened(environment, None)
    }

    fn opened(
        &self,
        environment: Environment,
        credentials: Option<&FolderPath>,
    ) -> Result<StateStore, StoreError> {
        let environment: Environment = &|name| environment(name).filter(|value| !value.trim().is_empty());
        let opened = match self.kind {
            RemoteKind::S3 => self.s3(environment, credentials),
            RemoteKind::Google => self.google(environment).map(|store| (store, None)),
            RemoteKind::Azure => self.azure(environment).map(|store| (store, None)),
        };
        let prefix = Path::parse(&self.prefix).map_err(|error| error.to_string());
        match opened.and_then(|store| Ok((store, prefix?))) {
            Ok(((store, uploads), prefix)) => {
                Ok(StateStore::new(store, prefix, self.to_string()).listing_uploads(uploads))
            }
            Err(why) => Err(StoreError::BadLocation { store: self.to_string(), why }),
        }
    }

    fn s3(&self, environment: Environment, credentials: Option<&FolderPath>) -> Result<Opened, String> {
        let named = |names: &[&str]| names.iter().find_map(|name| environment(name));
        let region = self.region.clone().or_else(|| named(&["AWS_REGION", "AWS_DEFAULT_REGION"]));
        let region = region.unwrap_or_else(|| "us-east-1".to_owned());
        let endpoint = self.endpoint.clone();
        let endpoint = endpoint.or_else(|| named(&["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"]));
        let path_style = self.path_style.unwrap_or(endpoint.is_some());
        let http = endpoint.as_ref().is_some_and(|endpoint| endpoint.starts_with("http://"));
        let options = options(environment)?.with_allow_http(http);
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&self.bucket)
            .with_region(&region)
            .with_virtual_hosted_style_request(!path_style)
            .with_conditional_put(S3ConditionalPut::ETagMatch)
            .with_retry(few_retries())
            .with_client_options(options.clone())
            .with_http_connector(Answers);
        let mut url = match path_style {
            true => format!("https://s3.{region}.amazonaws.com/{}", self.bucket),
            false => format!("https://{}.s3.{region}.amazonaws.com/", self.bucket),
        };
        if let Some(endpoint) = endpoint {
            let endpoint = endpoint.trim_end_matches('/');
            let of_bucket = match endpoint.split_once("://") {
                Some((scheme, host)) if !path_style => format!("{scheme}://{}.{host}", self.bucket),
                Some(_) | None => endpoint.to_owned(),
            };
            url = if path_style { format!("{of_bucket}/{}", self.bucket) } else { format!("{of_bucket}/") };
            builder = builder.with_endpoint(of_bucket);
        }
        let builder = match credentials {
            Some(folder) => builder.with_credentials(Arc::new(Folder::open(folder)?)),
            None => with_credentials(builder, environment)?,
        };
        let store = Arc::new(builder.build().map_err(|error| plain(&error))?);
        let client = Answers.connect(&options).map_err(|error| plain(&error))?;
        let uploads = OfBucket::new(Arc::clone(&store), client, url, region);
        Ok((store, Some(Arc::new(uploads))))
    }

    fn google(&self, environment: Environment) -> Result<Arc<dyn ObjectStore>, String> {
        let built = GoogleCloudStorageBuilder::from_env()
            .with_bucket_name(&self.bucket)
            .with_retry(few_retries())
            .with_client_options(options(environment)?)
            .with_http_connector(Answers)
            .build();
        built.map(|store| Arc::new(store) as _).map_err(|error| plain(&error))
    }

    fn azure(&self, environment: Environment) -> Result<Arc<dyn ObjectStore>, String> {
        let built = MicrosoftAzureBuilder::from_env()
            .with_container_name(&self.bucket)
            .with_retry(few_retries())
            .with_client_options(options(environment)?)
            .with_http_connector(Answers)
            .build();
        built.map(|store| Arc::new(store) as _).map_err(|error| plain(&error))
    }
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.kind {
            RemoteKind::S3 => "s3",
            RemoteKind::Google => "gs",
            RemoteKind::Azure => "az",
        };
        write!(f, "{scheme}://{}", self.bucket)?;
        if self.prefix.is_empty() { Ok(()) } else { write!(f, "/{}", self.prefix) }
    }
}

/// In the order of Amazon's own tools: variables, a role of this pod, the file, a role of the container or machine.
fn with_credentials(builder: AmazonS3Builder, environment: Environment) -> Result<AmazonS3Builder, String> {
    let from = |builder: AmazonS3Builder, names: &[(&str, Key)]| {
        names.iter().fold(builder, |builder, (name, key)| match environment(name) {
            Some(value) => builder.with_config(*key, value),
            None => builder,
        })
    };
    let is_set = |name: &str| environment(name).is_some();
    match (is_set("AWS_ACCESS_KEY_ID"), is_set("AWS_SECRET_ACCESS_KEY")) {
        (true, false) => return Err(half_set("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")),
        (false, true) => return Err(half_set("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID")),
        (true, true) => {
            let names = [
                ("AWS_ACCESS_KEY_ID", Key::AccessKeyId),
                ("AWS_SECRET_ACCESS_KEY", Key::SecretAccessKey),
                ("AWS_SESSION_TOKEN", Key::Token),
            ];
            return Ok(from(builder, &names));
        }
        (false, false) => {}
    }
    match (is_set("AWS_WEB_IDENTITY_TOKEN_FILE"), is_set("AWS_ROLE_ARN")) {
        (true, false) => return Err(half_set("AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN")),
        (true, true) => {
            let names = [
                ("AWS_WEB_IDENTITY_TOKEN_FILE", Key::WebIdentityTokenFile),
                ("AWS_ROLE_ARN", Key::RoleArn),
                ("AWS_ROLE_SESSION_NAME", Key::RoleSessionName),
                ("AWS_ENDPOINT_URL_STS", Key::StsEndpoint),
            ];
            return Ok(from(builder, &names));
        }
        (false, true | false) => {}
    }
    if let Some(file) = SharedFile::find(environment)? {
        return Ok(builder.with_credentials(Arc::new(file)));
    }
    let names = [
        ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", Key::ContainerCredentialsRelativeUri),
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", Key::ContainerCredentialsFullUri),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", Key::ContainerAuthorizationTokenFile),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", Key::MetadataEndpoint),
    ];
    let has_role = names.iter().take(2).any(|(name, _)| is_set(name));
    let disabled = environment("AWS_EC2_METADATA_DISABLED").is_some_and(|value| value == "true");
    if disabled && !has_role { Err(answer::NO_CREDENTIALS.to_owned()) } else { Ok(from(builder, &names)) }
}

fn half_set(set: &str, missing: &str) -> String {
    format!("{set} is set and {missing} is not: set both")
}

/// What is the same for all.
fn options(environment: Environment) -> Result<ClientOptions, String> {
    let options =
        ClientOptions::new().with_timeout(REQUEST).with_connect_timeout(CONNECT).with_pool_idle_timeout(IDLE);
    let Some(file) = environment("AWS_CA_BUNDLE") else { return Ok(options) };
    let unusable = |why: String| format!("AWS_CA_BUNDLE names {file}, which cannot be used: {why}");
    let pem = std::fs::read(&file).map_err(|error| unusable(error.to_string()))?;
    let certificates = Certificate::from_pem_bundle(&pem).map_err(|error| unusable(plain(&error)))?;
    Ok(certificates.into_iter().fold(options, ClientOptions::with_root_certificate))
}

/// Within a call, for what cannot be asked again from outside: a part of a long upload, and its end. All that these
/// take is well below the deadline of a call, `store::DEADLINE`.
fn few_retries() -> RetryConfig {
    let backoff = BackoffConfig {
        init_backoff: Duration::from_millis(100),
        max_backoff: Duration::from_secs(1),
        base: 2.0,
    };
    RetryConfig { backoff, max_retries: 3, retry_timeout: Duration::from_secs(5) }
}

fn plain(error: &Error) -> String {
    crate::retry::with_causes(error)
}
