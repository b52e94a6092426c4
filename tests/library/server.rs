//! A web server on this machine, on a port that is free.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// What a request is answered with.
pub(crate) enum Answer {
    /// 200 and this text.
    Page(String),
    /// 302 and this location.
    Redirect(String),
}

/// A server that answers one request a connection, until the process ends.
pub(crate) struct Server {
    port: u16,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Starts one that answers a request's first line by `answer`.
    pub(crate) fn start(answer: impl Fn(&str) -> Answer + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let noting = Arc::clone(&requests);
        thread::spawn(move || {
            for connection in listener.incoming() {
                // One that is closed early is no request.
                let _ = connection.and_then(|connection| serve(connection, &answer, &noting));
            }
        });
        Self { port, requests }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://localhost:{}{path}", self.port)
    }

    /// Methods and paths, in order.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("no panic").clone()
    }
}

fn serve(
    mut connection: TcpStream,
    answer: &impl Fn(&str) -> Answer,
    requests: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut lines = BufReader::new(connection.try_clone()?).lines();
    let first = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    let Some(request) = first.strip_suffix(" HTTP/1.1") else { return Ok(()) };
    requests.lock().expect("no panic").push(request.to_owned());
    for line in lines {
        if line?.is_empty() {
            break;
        }
    }
    let (status, header, body) = match answer(request) {
        Answer::Page(text) => ("200 OK", "Content-Type: text/plain".to_owned(), text),
        Answer::Redirect(location) => ("302 Found", format!("Location: {location}"), String::new()),
    };
    write!(
        connection,
        "HTTP/1.1 {status}\r\n{header}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}
