//! TLS of whatever the program asks for over HTTPS: whom it trusts. There is one answer, here.

use std::env;
use std::ffi::OsStr;
use std::sync::{Arc, OnceLock};

use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

use crate::{StoreError, StoreErrorKind};

/// The variable that names a file of further roots, as for OpenSSL and what is built on it.
pub const FURTHER_ROOTS: &str = "SSL_CERT_FILE";

/// Trusts the roots that Mozilla does, and those that the user adds. The provider is named, since another crate of the
/// program may bring a second. What was read once holds for the process.
///
/// # Errors
/// [`StoreErrorKind::Io`] where [`FURTHER_ROOTS`] names a file that cannot be used, and why.
pub fn client_config() -> Result<Arc<ClientConfig>, StoreError> {
    static CONFIG: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    if let Some(config) = CONFIG.get() {
        return Ok(Arc::clone(config));
    }
    let failed = |why: String| StoreError::new(StoreErrorKind::Io, why);
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.into() };
    if let Some(file) = env::var_os(FURTHER_ROOTS).filter(|file| !file.is_empty()) {
        add_roots(&mut roots, &file)
            .map_err(|why| failed(format!("{FURTHER_ROOTS} names {}, which {why}", file.display())))?;
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| failed(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::clone(CONFIG.get_or_init(|| Arc::new(config))))
}

/// Adds the certificates of a file in PEM. It is read once, and is a few hundred kilobytes.
fn add_roots(roots: &mut RootCertStore, file: &OsStr) -> Result<(), String> {
    let mut count = 0;
    for certificate in CertificateDer::pem_file_iter(file).map_err(|error| format!("cannot be read: {error}"))? {
        let certificate = certificate.map_err(|error| format!("is no list of certificates in PEM: {error}"))?;
        roots.add(certificate).map_err(|error| format!("has a certificate that is no root: {error}"))?;
        count += 1;
    }
    if count == 0 { Err("has no certificate in PEM".to_owned()) } else { Ok(()) }
}
