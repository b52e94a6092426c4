//! What a hub or a registry answers: headers and bodies, to every question that is asked of one.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{LazyLock, Mutex};
use std::thread;
use std::time::Duration;

use wasmlx_store::hub::{ComponentChecks, HubClient, HubOptions, Patience, SearchOptions};
use wasmlx_store::{Digest, Holding, ModelMemory, Monitor, SearchQuery, Surroundings, check_paths};

use super::Home;

/// The headers that mean something to the client. A length is right, since a wrong one only takes time.
const HEADERS: [&str; 8] = [
    "content-type",
    "docker-content-digest",
    "link",
    "location",
    "ratelimit",
    "retry-after",
    "www-authenticate",
    "x-error-code",
];

const STATUSES: [u16; 8] = [200, 200, 200, 200, 302, 401, 404, 429];

/// A server that answers everything with the same, but perhaps the first question, and a client of it.
struct Scene {
    first: Mutex<Option<String>>,
    answer: Mutex<Vec<u8>>,
    host: String,
    client: HubClient,
}

static SCENE: LazyLock<Scene> = LazyLock::new(|| {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || serve(&stream));
        }
    });
    let second = Duration::from_secs(1);
    let patience = Patience { connect: second, idle: second, metadata: second, attempts: 1, ..Patience::default() };
    let options = HubOptions { endpoints: vec![format!("http://{host}")], patience, ..HubOptions::default() };
    Scene { first: Mutex::default(), answer: Mutex::default(), client: HubClient::new(options).unwrap(), host }
});

/// The requests of a connection, one after the other.
fn serve(stream: &TcpStream) {
    for line in BufReader::new(stream).lines().map_while(Result::ok) {
        if line.is_empty() {
            let first = SCENE.first.lock().unwrap().take().map(String::into_bytes);
            let answer = first.unwrap_or_else(|| SCENE.answer.lock().unwrap().clone());
            let mut stream = stream;
            if stream.write_all(&answer).is_err() {
                return;
            }
        }
    }
}

/// The first byte says what is asked, the second the status; then lines of headers, an empty one, and the body.
pub(super) fn run(bytes: &[u8]) {
    static HOME: Home = Home::new();
    let Some(([question, status], rest)) = bytes.split_first_chunk::<2>() else { return };
    let at = rest.windows(2).position(|window| window == b"\n\n");
    let (head, body) = at.map_or((&b""[..], rest), |at| (&rest[..at], &rest[at + 2..]));
    let mut answer = format!("HTTP/1.1 {} -\r\nContent-Length: {}\r\n", STATUSES[usize::from(*status) % 8], body.len());
    for line in String::from_utf8_lossy(head).lines() {
        // Nobody else is to be asked, whatever the answer says.
        let value = line.replace("https", "http").replace(['\\', '\r'], "");
        match value.split_once(':') {
            Some(("location", to)) if to.contains("//") => {}
            Some((name, value)) if HEADERS.contains(&name) => answer.push_str(&format!("{name}:{value}\r\n")),
            _ => {}
        }
    }
    *SCENE.answer.lock().unwrap() = [answer.as_bytes(), b"\r\n", body].concat();
    // What leads on to another question.
    let first = match question % 5 {
        3 => Some(whole("200 OK", "", r#"{"id": "maker/model", "sha": "0000000000000000000000000000000000000000"}"#)),
        4 => Some(whole("401 -", &format!("WWW-Authenticate: Bearer realm=\"http://{}/t\"\r\n", SCENE.host), "")),
        _ => None,
    };
    *SCENE.first.lock().unwrap() = first;
    super::tokio().block_on(async {
        match question % 5 {
            0 | 3 => {
                let Ok(model) = SCENE.client.model("maker/model", "main").await else { return };
                let Ok(files) = SCENE.client.files("maker/model", &model).await else { return };
                let _ = check_paths(files.iter().map(|file| file.path.as_str()));
            }
            1 => {
                let stored = Default::default();
                let machine = ModelMemory { holding: Holding::AS_STORED, bytes: None };
                let around = Surroundings { now: 0, architectures: &["qwen3"], machine, stored: &stored };
                let options = SearchOptions { refresh: true, ..SearchOptions::default() };
                let _ = HOME.store().search(&SCENE.client, &SearchQuery::default(), options, &around).await;
            }
            _ => {
                let address = format!("oci://{}/maker/thing:1.0", SCENE.host).parse().unwrap();
                let fetched =
                    SCENE.client.fetch_component(&address, &ComponentChecks::default(), Monitor::none()).await;
                // A manifest would have to hold its own digest.
                assert!(fetched.is_err(), "{}", Digest::of(body));
            }
        }
    });
}

fn whole(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len())
}
