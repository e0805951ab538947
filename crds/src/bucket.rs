//! URLs of folders in object stores.
//!
//! Owns: which schemes there are, and what a bucket, a folder and an endpoint may be called.
//! Never: asks a store; repeats a text that may hold a password.

/// The stores that have URLs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum StoreKind {
    /// Amazon S3, and what speaks like it: `s3://`.
    S3,
    /// Google Cloud Storage: `gs://`.
    Google,
    /// Azure Blob Storage: `az://`.
    Azure,
}

impl StoreKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::S3, Self::Google, Self::Azure];

    /// What its URLs begin with.
    pub fn scheme(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Google => "gs",
            Self::Azure => "az",
        }
    }
}

/// A folder of an object store: `s3://bucket/folder/in/it`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BucketUrl {
    /// Whose.
    pub kind: StoreKind,
    /// The bucket; Azure calls it a container.
    pub bucket: String,
    /// The folder in it, without slashes around it; may be empty.
    pub prefix: String,
}

impl BucketUrl {
    /// Reads a URL. `None`: it has another scheme or none.
    pub fn parse(url: &str) -> Option<Result<Self, String>> {
        let (scheme, rest) = url.split_once("://")?;
        let kind = StoreKind::ALL.into_iter().find(|kind| kind.scheme() == scheme)?;
        Some(Self::of(kind, rest))
    }

    fn of(kind: StoreKind, rest: &str) -> Result<Self, String> {
        let scheme = kind.scheme();
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.contains(['@', ':']) {
            return Err(format!(
                "the URL of a folder in a store holds no credentials and no port: write `{scheme}://BUCKET/FOLDER`, and give \
                 credentials in the environment"
            ));
        }
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        if !(3..=222).contains(&bucket.len()) || !bucket.bytes().all(fits) || bucket.starts_with('.') {
            return Err(format!(
                "`{bucket}` is not the name of a bucket: write `{scheme}://BUCKET/FOLDER`, where BUCKET has 3 or more of \
                 a to z, 0 to 9, `-`, `.` and `_`"
            ));
        }
        let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
        let folder = |part: &str| {
            let odd = |c: char| c.is_control() || "\\{}^%`[]\"<>~#|?*".contains(c);
            !matches!(part, "" | "." | "..") && !part.contains(odd)
        };
        if !prefix.is_empty() && !prefix.split('/').all(folder) {
            return Err(format!(
                "`{prefix}` is not a folder in a bucket: write names with one `/` between two of them, without `.`, \
                 `..` and any of \\ {{ }} ^ % ` [ ] \" < > ~ # | ? *"
            ));
        }
        Ok(Self { kind, bucket: bucket.to_owned(), prefix: prefix.to_owned() })
    }
}

impl std::fmt::Display for BucketUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}://{}", self.kind.scheme(), self.bucket)?;
        if self.prefix.is_empty() { Ok(()) } else { write!(f, "/{}", self.prefix) }
    }
}

/// What is wrong with the address of a server.
pub(crate) fn endpoint_problem(endpoint: &str) -> Option<String> {
    const WANTED: &str = "write `https://HOST` or `http://HOST:PORT`";
    let host = ["https://", "http://"].iter().find_map(|scheme| endpoint.strip_prefix(scheme));
    let Some(host) = host.map(|host| host.strip_suffix('/').unwrap_or(host)) else {
        return Some(format!("`{endpoint}` does not begin with https:// or http://: {WANTED}"));
    };
    if host.contains('@') {
        return Some(format!("an endpoint holds no credentials: {WANTED}, and give them in the environment"));
    }
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | ':' | '[' | ']' | '_');
    (host.is_empty() || !host.chars().all(fits)).then(|| format!("`{endpoint}` is not a host: {WANTED}"))
}
