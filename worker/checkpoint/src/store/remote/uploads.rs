//! Uploads in parts that nobody will end: their writers were killed.
//!
//! Owns: listing those of a folder and giving them up, where the store can list them: S3, and what speaks like it.
//! Never: knows whose an upload is, or lists more than a page: the next start sees the rest.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use object_store::aws::{AmazonS3, AwsAuthorizer};
use object_store::client::{HttpClient, HttpRequest, HttpRequestBody};
use object_store::multipart::MultipartStore;
use object_store::path::Path;
use object_store::{Error, Result};

/// Begun and not ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in crate::store) struct Upload {
    /// Of which object.
    pub(in crate::store) object: Path,
    id: String,
}

/// What can list uploads.
#[async_trait]
pub(in crate::store) trait Uploads: fmt::Debug + Send + Sync {
    /// Those of objects whose names begin with this.
    async fn list(&self, prefix: &Path) -> Result<Vec<Upload>>;

    /// Gives one up: its parts are deleted.
    async fn abort(&self, upload: &Upload) -> Result<()>;
}

/// Those of an S3 bucket.
pub(super) struct OfBucket {
    store: Arc<AmazonS3>,
    client: HttpClient,
    /// Of the bucket.
    url: String,
    region: String,
}

impl OfBucket {
    pub(super) fn new(store: Arc<AmazonS3>, client: HttpClient, url: String, region: String) -> Self {
        Self { store, client, url, region }
    }
}

#[async_trait]
impl Uploads for OfBucket {
    async fn list(&self, prefix: &Path) -> Result<Vec<Upload>> {
        let url = format!("{}?prefix={}&uploads=", self.url, encoded(&format!("{prefix}/")));
        let mut request = HttpRequest::new(HttpRequestBody::empty());
        *request.uri_mut() = url.parse().map_err(failed)?;
        let credential = self.store.credentials().get_credential().await?;
        AwsAuthorizer::new(&credential, "s3", &self.region).authorize(&mut request, None);
        let answer = self.client.execute(request).await.map_err(failed)?;
        let body = answer.into_body().bytes().await.map_err(failed)?;
        Ok(uploads(&String::from_utf8_lossy(&body)))
    }

    async fn abort(&self, upload: &Upload) -> Result<()> {
        self.store.abort_multipart(&upload.object, &upload.id).await
    }
}

impl fmt::Debug for OfBucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OfBucket").field("url", &self.url).finish_non_exhaustive()
    }
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Generic { store: "S3", source: Box::new(error) }
}

/// As signatures want it: all but letters, digits and four others.
fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                encoded.push(char::from(byte));
            }
            other => encoded.push_str(&format!("%{other:02X}")),
        }
    }
    encoded
}

/// What a listing names. Names of ours have nothing that XML writes differently; others are left alone.
fn uploads(xml: &str) -> Vec<Upload> {
    let inside = |text: &str, tag: &str| -> Option<String> {
        let (_, rest) = text.split_once(&format!("<{tag}>"))?;
        Some(rest.split_once(&format!("</{tag}>"))?.0.to_owned())
    };
    let one = |text: &str| {
        let object = Path::parse(inside(text, "Key")?).ok()?;
        Some(Upload { object, id: inside(text, "UploadId")? })
    };
    xml.split("<Upload>").skip(1).filter_map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_is_read() {
        let xml = "<?xml version=\"1.0\"?><ListMultipartUploadsResult><Bucket>b</Bucket><Prefix>p</Prefix>\
                   <Upload><Key>p/data/1-1/a</Key><UploadId>u1</UploadId><Initiated>x</Initiated></Upload>\
                   <Upload><UploadId>u2</UploadId><Key>p/data/2-1/b</Key></Upload></ListMultipartUploadsResult>";

        let found: Vec<_> = uploads(xml).into_iter().map(|one| (one.object.to_string(), one.id)).collect();

        let expected = [("p/data/1-1/a", "u1"), ("p/data/2-1/b", "u2")];
        assert_eq!(found, expected.map(|(object, id)| (object.to_owned(), id.to_owned())));
        assert_eq!(uploads("<Error><Code>AccessDenied</Code></Error>"), []);
    }

    #[test]
    fn a_prefix_is_encoded_as_signatures_want_it() {
        assert_eq!(encoded("a-b_c.d~e/f g=ü"), "a-b_c.d~e%2Ff%20g%3D%C3%BC");
    }
}
