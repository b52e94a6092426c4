//! TLS of agents' requests, and what is said of servers that are not trusted.

use std::io;

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls;
use tokio_rustls::rustls::pki_types::ServerName;
use wasmlx_store::tls::{FURTHER_ROOTS, client_config};
use wasmtime_wasi_http::Error;

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

/// Trusts whom the whole program does.
fn connector() -> Result<TlsConnector, Error> {
    let config = client_config().map_err(|error| Error::InternalError(Some(error.to_string())))?;
    Ok(TlsConnector::from(config))
}
