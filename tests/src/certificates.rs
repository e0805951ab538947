//! Certificates for a test, made with OpenSSL.
//!
//! Owns: an authority in a folder, and the certificates that it gives out.
//! Never: keeps anything outside of that folder.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};

/// An authority with a key of its own.
pub struct Authority {
    folder: PathBuf,
}

impl Authority {
    /// Makes one in this folder, as `authority.crt`.
    pub fn new(folder: &Path) -> Result<Self> {
        let authority = Self { folder: folder.to_owned() };
        authority.openssl("req -x509 -subj /CN=authority -keyout authority.key -out authority.crt")?;
        Ok(authority)
    }

    /// Its certificate.
    pub fn certificate(&self) -> PathBuf {
        self.folder.join("authority.crt")
    }

    /// Gives out a certificate for this machine's loopback, as `NAME.crt` with the key `NAME.key`, and both in `NAME.pem`.
    pub fn issue(&self, name: &str) -> Result<PathBuf> {
        std::fs::write(self.folder.join("extensions"), "subjectAltName=IP:127.0.0.1\n")?;
        self.openssl(&format!("req -subj /CN={name} -keyout {name}.key -out {name}.csr"))?;
        self.openssl(&format!(
            "x509 -req -in {name}.csr -CA authority.crt -CAkey authority.key -CAcreateserial -extfile extensions \
             -out {name}.crt"
        ))?;
        let text = |end: &str| std::fs::read_to_string(self.folder.join(format!("{name}.{end}")));
        let both = self.folder.join(format!("{name}.pem"));
        std::fs::write(&both, text("key")? + &text("crt")?)?;
        Ok(both)
    }

    fn openssl(&self, arguments: &str) -> Result<()> {
        let mut command = Command::new("openssl");
        command.current_dir(&self.folder).args(arguments.split_whitespace());
        if arguments.starts_with("req") {
            command.args(["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]);
        }
        let done = command.output()?;
        ensure!(done.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&done.stderr));
        Ok(())
    }
}
