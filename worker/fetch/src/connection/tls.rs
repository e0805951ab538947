//! Encrypted connections.
//!
//! Owns: which certificates are believed, and what is shown of our own.
//! Never: goes on unencrypted.

use std::net::TcpStream;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::Cause;
use crate::settings::Tls;

pub(super) type TlsStream = StreamOwned<ClientConnection, TcpStream>;

/// Shakes hands.
pub(super) fn open(mut socket: TcpStream, host: &str, tls: &Tls) -> Result<TlsStream, Cause> {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let name = ServerName::try_from(host.to_owned());
    let name = name.map_err(|_| Cause::Tls(format!("`{host}` cannot stand in a certificate")))?;
    let config = Arc::new(config(tls)?);
    let mut connection = ClientConnection::new(config, name).map_err(refused)?;
    while connection.is_handshaking() {
        connection.complete_io(&mut socket).map_err(|error| {
            let by_us = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
            by_us.cloned().map_or(Cause::Io(super::silence(error)), refused)
        })?;
    }
    Ok(StreamOwned::new(connection, socket))
}

fn config(tls: &Tls) -> Result<ClientConfig, Cause> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(refused)?.with_root_certificates(roots(tls)?);
    let Some((certificates, key)) = &tls.client else { return Ok(builder.with_no_client_auth()) };
    let certificates = read(certificates, "clientCertificate.certificate")?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
        .map_err(|_| Cause::Tls("`clientCertificate.privateKey` is not a private key in PEM".into()))?;
    builder.with_client_auth_cert(certificates, key).map_err(refused)
}

fn roots(tls: &Tls) -> Result<RootCertStore, Cause> {
    let mut roots = RootCertStore::empty();
    if let Some(ca) = &tls.ca {
        for certificate in read(ca, "ca")? {
            roots.add(certificate).map_err(refused)?;
        }
        return Ok(roots);
    }
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        let cause = "this machine trusts no certificate authority; install its certificates, or set `tls.ca`";
        return Err(Cause::Tls(cause.into()));
    }
    Ok(roots)
}

fn read(pem: &str, field: &str) -> Result<Vec<CertificateDer<'static>>, Cause> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    let certificates = certificates.ok().filter(|certificates| !certificates.is_empty());
    certificates.ok_or_else(|| Cause::Tls(format!("`{field}` has no certificate in PEM")))
}

fn refused(error: rustls::Error) -> Cause {
    Cause::Tls(format!("TLS: {error}"))
}
