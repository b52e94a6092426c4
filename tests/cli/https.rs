//! Agents and HTTPS: whose certificates are trusted.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::support::{Ran, ran, wasmlx};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tls").join(name)
}

/// A server whose certificate is signed by `authority.pem`, which answers until the process ends; its port.
fn serve() -> u16 {
    let certificate = CertificateDer::from_pem_file(fixture("server.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(fixture("server-key.pem")).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for connection in listener.incoming() {
            // A client that does not trust it goes away.
            let _ = connection.and_then(|connection| answer(connection, &config));
        }
    });
    port
}

fn answer(connection: TcpStream, config: &Arc<ServerConfig>) -> std::io::Result<()> {
    let tls = ServerConnection::new(Arc::clone(config)).map_err(std::io::Error::other)?;
    let mut stream = BufReader::new(StreamOwned::new(tls, connection));
    let mut line = String::new();
    while stream.read_line(&mut line)? > 2 {
        line.clear();
    }
    let stream = stream.get_mut();
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nsecret")?;
    stream.conn.send_close_notify();
    stream.flush()
}

/// Has an agent fetch a page of a granted host on this machine, with these further roots.
fn fetch(host: &str, port: u16, roots: Option<&Path>) -> Ran {
    let errand = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/components/errand.wasm");
    let (grant, url) = (format!("http={host}:{port}"), format!("https://{host}:{port}/"));
    let mut command = wasmlx(&["run", "--agent", errand.to_str().unwrap(), "--grant", &grant, "fetch", &url]);
    match roots {
        Some(roots) => command.env("SSL_CERT_FILE", roots),
        None => command.env_remove("SSL_CERT_FILE"),
    };
    ran(&mut command)
}

#[test]
fn a_root_that_the_user_adds_is_trusted() {
    let port = serve();
    for host in ["localhost", "127.0.0.1"] {
        assert_eq!(fetch(host, port, Some(&fixture("authority.pem"))).ok().stdout, "200\nsecret\n");
    }
}

#[test]
fn a_certificate_that_is_not_trusted_is_an_error() {
    let port = serve();
    let untrusted = fetch("localhost", port, None).failed(1);
    for part in ["the certificate of localhost is not trusted: ", "SSL_CERT_FILE", "TlsCertificateError"] {
        assert!(untrusted.stderr.contains(part), "{part} in {}", untrusted.stderr);
    }
    // Further roots that cannot be had are not left out.
    for (file, why) in
        [(fixture("none.pem"), "cannot be read"), (fixture("server-key.pem"), "has no certificate in PEM")]
    {
        let ran = fetch("localhost", port, Some(&file)).failed(1);
        assert!(ran.stderr.contains("SSL_CERT_FILE names") && ran.stderr.contains(why), "{}", ran.stderr);
    }
}
