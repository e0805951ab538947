//! An issuer of service account tokens, as a cluster is one.
//!
//! Owns: a key of its own, made with OpenSSL in a temporary folder; tokens that are right and tokens that are wrong.
//! Never: is asked by who checks a token.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};
use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

/// An issuer with one key.
pub struct Issuer {
    _folder: TempDir,
    id: String,
    algorithm: Algorithm,
    key: EncodingKey,
}

/// What a token says.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Claims {
    /// Who issued it.
    pub iss: String,
    /// Whose it is.
    pub sub: String,
    /// For whom it is meant.
    pub aud: Vec<String>,
    /// Until when, in epoch seconds.
    pub exp: i64,
}

impl Claims {
    /// What the operator's token says.
    pub fn right() -> Self {
        Self {
            iss: Issuer::NAME.to_owned(),
            sub: Issuer::SUBJECT.to_owned(),
            aud: vec![Issuer::AUDIENCE.to_owned()],
            exp: jiff::Timestamp::now().as_second() + 600,
        }
    }
}

impl Issuer {
    /// Its name.
    pub const NAME: &str = "https://kubernetes.default.svc";
    /// Who the operator is.
    pub const SUBJECT: &str = "system:serviceaccount:streamjob-system:streamjob-operator";
    /// Whom its tokens are meant for.
    pub const AUDIENCE: &str = "0193f6c2-7f0e-7c43-9f57-3f6f0b8b2b51";

    /// One that signs with a curve.
    pub fn es256(id: &str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        openssl(folder.path(), "ecparam -name prime256v1 -genkey -noout -out key.pem")?;
        openssl(folder.path(), "pkcs8 -topk8 -nocrypt -in key.pem -outform DER -out key.der")?;
        let key = EncodingKey::from_ec_der(&fs::read(folder.path().join("key.der"))?);
        Ok(Self { _folder: folder, id: id.to_owned(), algorithm: Algorithm::ES256, key })
    }

    /// One that signs with RSA.
    pub fn rs256(id: &str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        openssl(folder.path(), "genrsa -traditional -out key.pem 2048")?;
        openssl(folder.path(), "rsa -in key.pem -traditional -outform DER -out key.der")?;
        let key = EncodingKey::from_rsa_der(&fs::read(folder.path().join("key.der"))?);
        Ok(Self { _folder: folder, id: id.to_owned(), algorithm: Algorithm::RS256, key })
    }

    /// Its key, as those who check tokens are given it.
    pub fn jwks(&self) -> Result<String> {
        Ok(serde_json::to_string(&JwkSet { keys: vec![self.jwk()?] })?)
    }

    /// The same beside the key of another, and one that nobody knows.
    pub fn jwks_with(&self, other: &Self) -> Result<String> {
        let keys = [self.jwk()?, other.jwk()?].map(serde_json::to_value);
        let [own, others] = keys;
        let strange = serde_json::json!({"kty": "XMSS", "kid": "tomorrow", "x": "AA"});
        Ok(serde_json::json!({"keys": [strange, own?, others?]}).to_string())
    }

    fn jwk(&self) -> Result<Jwk> {
        let mut jwk = Jwk::from_encoding_key(&self.key, self.algorithm)?;
        jwk.common.key_id = Some(self.id.clone());
        Ok(jwk)
    }

    /// The operator's token.
    pub fn token(&self) -> Result<String> {
        self.sign(&Claims::right())
    }

    /// A token that says this.
    pub fn sign(&self, claims: &impl Serialize) -> Result<String> {
        let header = Header { kid: Some(self.id.clone()), ..Header::new(self.algorithm) };
        Ok(encode(&header, claims, &self.key)?)
    }
}

fn openssl(folder: &Path, arguments: &str) -> Result<()> {
    let done = Command::new("openssl").current_dir(folder).args(arguments.split_whitespace()).output()?;
    ensure!(done.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&done.stderr));
    Ok(())
}
