//! TLS of agents' requests: whom it trusts, and what is said of those whom it does not.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::sync::{Arc, OnceLock};

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};
use wasmtime_wasi_http::Error;

/// The variable that names a file of further roots, as for OpenSSL and what is built on it.
const FURTHER_ROOTS: &str = "SSL_CERT_FILE";

/// Makes a connection to `host` a secret one, once it has shown whose it is.
///
/// # Errors
/// [`Error::TlsCertificateError`] where it has not, with the reason as a warning; [`Error::Tls`];
/// [`Error::InternalError`] where further roots are named that cannot be read.
pub(super) async fn secure(host: &str, stream: TcpStream) -> Result<TlsStream<TcpStream>, Error> {
    let name = ServerName::try_from(host.to_owned()).map_err(|_| Error::HttpRequestUriInvalid)?;
    connector()?.connect(name, stream).await.map_err(|error| match certificate_error(&error) {
        Some(why) => {
            tracing::warn!(
                "the certificate of {host} is not trusted: {why}. Is its root in the file of {FURTHER_ROOTS}?"
            );
            Error::TlsCertificateError
        }
        None => Error::Tls(error),
    })
}

/// What is wrong with a certificate, if that is what went wrong.
fn certificate_error(error: &io::Error) -> Option<&rustls::CertificateError> {
    match error.get_ref()?.downcast_ref()? {
        rustls::Error::InvalidCertificate(why) => Some(why),
        _ => None,
    }
}

/// Trusts the roots that Mozilla does, and those that the user adds. The provider is named, since another crate of the
/// program may bring a second.
fn connector() -> Result<TlsConnector, Error> {
    static CONFIG: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    if let Some(config) = CONFIG.get() {
        return Ok(TlsConnector::from(Arc::clone(config)));
    }
    let failed = |why: String| Error::InternalError(Some(why));
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
    Ok(TlsConnector::from(Arc::clone(CONFIG.get_or_init(|| Arc::new(config)))))
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
