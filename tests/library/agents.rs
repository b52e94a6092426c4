//! Agents and grants: each thing of the world outside is given where it is asked for and granted, and nothing else is.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use wasmlx::backend::fake::FakeScript;
use wasmlx::{ComponentRef, ErrorKind, Event, Grant, Model, Report};

use crate::server::{Answer, Server};
use crate::support::{Folders, answers, told};

/// `guest-examples/rust/errand`, which asks for whatever the user names.
static ERRAND: LazyLock<Vec<u8>> = LazyLock::new(|| guest("errand"));

fn guest(name: &str) -> Vec<u8> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/components").join(name).with_extension("wasm");
    fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}: run `cargo xtask guests`", file.display()))
}

fn errand() -> ComponentRef {
    ComponentRef::Bytes { name: "errand".to_owned(), bytes: ERRAND.as_slice().into() }
}

/// The same agent with other requests.
fn errand_that_asks(requests: &str) -> ComponentRef {
    let manifest =
        format!("name = 'errand'\nversion = '0.1.0'\nkind = 'agent'\nwasmlx = '0.1'\n[requests]\n{requests}");
    let bytes = wasmlx::embed_manifest(&manifest, &ERRAND).unwrap();
    ComponentRef::Bytes { name: "errand".to_owned(), bytes: bytes.into() }
}

async fn model(folders: &Folders) -> Model {
    folders.host(answers(&[("Hi", "Hello."), ("capital", "Tokyo.")])).load(&folders.model()).await.unwrap()
}

/// What an agent says to its end, and the report.
async fn run(
    model: &Model,
    agent: ComponentRef,
    grants: &[&str],
    arguments: &[&str],
) -> wasmlx::Result<(String, Report)> {
    let grants = grants.iter().map(|grant| grant.parse::<Grant>().unwrap());
    let mut run = model.chat().grants(grants).run_agent(agent, arguments.iter().copied()).await?;
    let mut said = String::new();
    while let Some(event) = run.next().await {
        match event? {
            Event::Content(text) => said.push_str(&text),
            Event::Finished(report) => {
                assert!(run.next().await.is_none(), "nothing comes after the end");
                return Ok((said, report));
            }
            other => panic!("{other:?}"),
        }
    }
    panic!("the run ended without its last event")
}

async fn said(model: &Model, agent: ComponentRef, grants: &[&str], arguments: &[&str]) -> wasmlx::Result<String> {
    run(model, agent, grants, arguments).await.map(|(said, _)| said)
}

/// Asserts that a run ended with `denied`, and what was said of it.
#[track_caller]
fn denied(outcome: wasmlx::Result<String>, expected: &str) {
    let error = outcome.expect_err("it is not given");
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    assert!(error.to_string().contains(expected), "{error}");
}

#[tokio::test]
async fn http_is_spoken_with_granted_hosts() {
    let folders = Folders::new();
    let (model, server) = (model(&folders).await, Server::start(|_| Answer::Page("a page".to_owned())));
    let (url, grant) = (server.url("/x?y=1"), format!("http=localhost:{}", server.port()));
    let fetch = ["fetch", url.as_str()];
    assert_eq!(said(&model, errand(), &[&grant], &fetch).await.unwrap(), "200\na page\n");
    assert_eq!(server.requests(), ["GET /x?y=1"]);
    for grants in [&[][..], &["http=localhost"], &["http=example.org"], &["http=127.0.0.1"]] {
        denied(said(&model, errand(), grants, &fetch).await, "HttpRequestDenied");
    }
    let silent = errand_that_asks("read = ['docs']");
    denied(said(&model, silent, &[&grant], &fetch).await, "HttpRequestDenied");
    let other = errand_that_asks("http = ['localhost:1']");
    denied(said(&model, other, &[&grant], &fetch).await, "HttpRequestDenied");
    assert_eq!(server.requests().len(), 1, "nothing was sent");
    // A request without a port asks for any.
    let named = errand_that_asks("http = ['localhost']");
    said(&model, named, &[&grant], &fetch).await.unwrap();
}

#[tokio::test]
async fn a_redirect_leads_nowhere_that_is_not_granted() {
    let folders = Folders::new();
    let model = model(&folders).await;
    let there = Server::start(|_| Answer::Page("elsewhere".to_owned()));
    let to = there.url("/there");
    let here = Server::start(move |_| Answer::Redirect(to.clone()));
    let url = here.url("/");
    let here_granted = format!("http=localhost:{}", here.port());
    let there_granted = format!("http=localhost:{}", there.port());
    denied(said(&model, errand(), &[&here_granted], &["fetch", &url]).await, "HttpRequestDenied");
    assert_eq!(there.requests(), [""; 0]);
    let followed = said(&model, errand(), &[&here_granted, &there_granted], &["fetch", &url]).await.unwrap();
    assert_eq!(followed, "200\nelsewhere\n");
}

#[tokio::test]
async fn a_name_that_leads_to_this_machine_is_not_followed() {
    let folders = Folders::new();
    let (model, server) = (model(&folders).await, Server::start(|_| Answer::Page("inner".to_owned())));
    let port = server.port();
    // Resolvers take such for 127.0.0.1; to whoever grants them they are names like any other.
    for name in ["2130706433", "127.1", "0x7f000001"] {
        let (grant, url) = (format!("http={name}:{port}"), format!("http://{name}:{port}/"));
        let outcome = said(&model, errand(), &[&grant], &["fetch", &url]).await;
        let error = outcome.expect_err("no private address by a name");
        assert!(["DestinationIpProhibited", "DnsError"].iter().any(|why| error.to_string().contains(why)), "{error}");
    }
    // What says another host before its own is no host.
    let (grant, url) = (format!("http=localhost:{port}"), format!("http://example.org@localhost:{port}/"));
    assert!(said(&model, errand(), &[&grant], &["fetch", &url]).await.is_err());
    assert_eq!(server.requests(), [""; 0]);
    // An address is reached where the grant is of that address.
    let (grant, url) = (format!("http=127.0.0.1:{port}"), format!("http://127.0.0.1:{port}/"));
    assert_eq!(said(&model, errand(), &[&grant], &["fetch", &url]).await.unwrap(), "200\ninner\n");
}

#[tokio::test]
async fn folders_are_read_and_written_by_grant() {
    let folders = Folders::new();
    let model = model(&folders).await;
    let (docs, out) = (folders.path().join("docs"), folders.path().join("out"));
    fs::create_dir_all(docs.join("in")).unwrap();
    fs::create_dir(&out).unwrap();
    fs::write(docs.join("in/a.txt"), "a text").unwrap();
    let read = format!("read=docs={}", docs.display());
    let write = format!("write=out={}", out.display());
    let reading = ["read", "docs/in/a.txt"];
    assert_eq!(said(&model, errand(), &[&read], &reading).await.unwrap(), "a text");
    denied(said(&model, errand(), &[], &reading).await, "no granted folder has docs/in/a.txt");
    denied(said(&model, errand_that_asks("write = ['docs']"), &[&read], &reading).await, "no granted folder");
    denied(said(&model, errand_that_asks("read = ['other']"), &[&read], &reading).await, "no granted folder");
    assert_eq!(said(&model, errand_that_asks("read = ['./docs']"), &[&read], &reading).await.unwrap(), "a text");

    let grants = [read.as_str(), &write];
    said(&model, errand(), &grants, &["write", "out/b.txt", "written"]).await.unwrap();
    assert_eq!(fs::read_to_string(out.join("b.txt")).unwrap(), "written");
    assert_eq!(said(&model, errand(), &grants, &["read", "out/b.txt"]).await.unwrap(), "written");
    // To read is not to write.
    for path in ["docs/new.txt", "docs/in/a.txt"] {
        denied(said(&model, errand(), &grants, &["write", path, "x"]).await, "cannot open docs/");
    }
    assert_eq!(fs::read_to_string(docs.join("in/a.txt")).unwrap(), "a text");
    assert!(!docs.join("new.txt").exists());
}

#[tokio::test]
async fn no_path_leads_out_of_a_folder() {
    let folders = Folders::new();
    let model = model(&folders).await;
    let docs = folders.path().join("docs");
    fs::create_dir(&docs).unwrap();
    let secret = folders.path().join("secret.txt");
    fs::write(&secret, "a secret").unwrap();
    let mut paths = vec!["docs/../secret.txt".to_owned(), format!("docs/{}", secret.display())];
    #[cfg(unix)]
    {
        use std::os::unix::fs::symlink;
        symlink(&secret, docs.join("absolute.txt")).unwrap();
        symlink("../secret.txt", docs.join("relative.txt")).unwrap();
        symlink("..", docs.join("up")).unwrap();
        paths.extend(["docs/absolute.txt", "docs/relative.txt", "docs/up/secret.txt"].map(str::to_owned));
    }
    let write = format!("write=docs={}", docs.display());
    for path in &paths {
        let read = said(&model, errand(), &[&write], &["read", path]).await;
        assert!(read.is_err(), "{path}: {read:?}");
        let written = said(&model, errand(), &[&write], &["write", path, "x"]).await;
        assert!(written.is_err(), "{path}: {written:?}");
    }
    assert_eq!(fs::read_to_string(&secret).unwrap(), "a secret");
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_said_before_the_agent_begins() {
    let folders = Folders::new();
    let model = model(&folders).await;
    let grant = format!("read=docs={}", folders.path().join("none").display());
    let error = said(&model, errand(), &[&grant], &["read", "docs/a"]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    assert!(error.to_string().contains("cannot open the granted folder"), "{error}");
}

#[tokio::test]
async fn variables_are_given_by_name() {
    let folders = Folders::new();
    let model = model(&folders).await;
    // Cargo sets it for every test.
    let value = std::env::var("CARGO_MANIFEST_DIR").unwrap();
    let env = ["env", "CARGO_MANIFEST_DIR"];
    assert_eq!(said(&model, errand(), &["env=CARGO_MANIFEST_DIR"], &env).await.unwrap(), format!("{value}\n"));
    denied(said(&model, errand(), &["env=HOME"], &env).await, "there is no variable CARGO_MANIFEST_DIR");
    let other = errand_that_asks("env = ['LANG']");
    denied(said(&model, other, &["env=CARGO_MANIFEST_DIR"], &env).await, "there is no variable");
}

#[tokio::test]
async fn the_store_is_looked_at_where_that_is_granted() {
    let folders = Folders::new();
    let header = b"{}";
    let weights = [&(header.len() as u64).to_le_bytes()[..], header].concat();
    fs::write(folders.path().join("model/model.safetensors"), weights).unwrap();
    // A home of its own: others import too.
    let host = folders.builder(answers(&[])).home(folders.path().join("home")).build().unwrap();
    let request = wasmlx::ImportRequest::new(folders.model()).name("seen");
    host.store().import(request, wasmlx::WorkOptions::new()).await.unwrap();
    let model = host.load(&folders.model()).await.unwrap();

    let granted = ["store=read"];
    let listed = said(&model, errand(), &granted, &["models"]).await.unwrap();
    assert!(listed.starts_with("seen (") && listed.lines().count() == 1, "{listed}");
    let shown = said(&model, errand(), &granted, &["model", "seen"]).await.unwrap();
    assert!(shown.starts_with("seen: ") && shown.contains("bytes of memory with"), "{shown}");

    denied(said(&model, errand(), &[], &["models"]).await, "not given store=read: the user did not grant it");
    let silent = errand_that_asks("env = ['LANG']");
    denied(said(&model, silent, &granted, &["models"]).await, "its manifest does not ask for it");
    // A name is none of a path, whoever asks.
    for elsewhere in [folders.model(), "../seen".to_owned(), "builtin".to_owned()] {
        let error = said(&model, errand(), &granted, &["model", &elsewhere]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    }
}

#[tokio::test]
async fn notes_outlast_a_run() {
    let folders = Folders::new();
    let model = model(&folders).await;
    let named = |name: &str| ComponentRef::Bytes { name: name.to_owned(), bytes: ERRAND.as_slice().into() };
    let _ = fs::remove_dir_all(model_home(&model).join("key-value"));
    let kv = ["kv=notes"];
    said(&model, named("one"), &kv, &["note", "notes", "a/b", "first"]).await.unwrap();
    assert_eq!(said(&model, named("one"), &kv, &["note", "notes", "a/b"]).await.unwrap(), "first\n");
    assert_eq!(said(&model, named("one"), &kv, &["notes", "notes"]).await.unwrap(), "a/b\n");
    // Another component's space of the same name is another.
    let other = said(&model, named("two"), &kv, &["note", "notes", "a/b"]).await.unwrap_err();
    assert_eq!(other.kind(), ErrorKind::NotFound);
    said(&model, named("one"), &kv, &["forget", "notes", "a/b"]).await.unwrap();
    assert_eq!(said(&model, named("one"), &kv, &["notes", "notes"]).await.unwrap(), "");

    let note = ["note", "notes", "a", "b"];
    denied(said(&model, named("one"), &[], &note).await, "not given kv=notes: the user did not grant it");
    denied(said(&model, named("one"), &["kv=other"], &note).await, "the user did not grant it");
    let silent = errand_that_asks("kv = ['other']");
    denied(said(&model, silent, &kv, &note).await, "not given kv=notes: its manifest does not ask for it");
    let large = "x".repeat((1 << 20) + 1);
    let error = said(&model, named("one"), &kv, &["note", "notes", "a", &large]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutOfMemory, "{error}");
}

/// Where the test's host keeps what it writes.
fn model_home(_: &Model) -> std::path::PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("library-home")
}

/// A second model, beside the first.
fn second_model(folders: &Folders) -> String {
    let folder = folders.path().join("second");
    fs::create_dir(&folder).unwrap();
    for file in fs::read_dir(folders.model()).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), folder.join(file.file_name())).unwrap();
    }
    folder.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn other_models_are_given_by_name() {
    let folders = Folders::new();
    let model = model(&folders).await;
    let grant = format!("model={}", second_model(&folders));
    let ask = ["ask", "second", "Hi"];
    assert_eq!(said(&model, errand(), &[&grant], &ask).await.unwrap(), "Hello.\n");
    // The one that the user chose needs no grant.
    assert_eq!(said(&model, errand_that_asks(""), &[], &["ask", "model", "Hi"]).await.unwrap(), "Hello.\n");
    denied(said(&model, errand_that_asks("model = ['second']"), &[], &ask).await, "the user did not grant it");
    denied(said(&model, errand_that_asks(""), &[&grant], &ask).await, "its manifest does not ask for it");
    let error = said(&model, errand_that_asks(""), &[], &ask).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    // One that cannot be loaded is said before the agent begins.
    let error = said(&model, errand(), &["model=none"], &ask).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn tokens_a_minute_are_counted_over_all_generations() {
    let folders = Folders::new();
    let model = model(&folders).await;
    let chat = model.chat().max_tokens(30).grant(Grant::Tokens(60)).build().await.unwrap();
    // `user: Hi`, a line break, `assistant: ` and `Hello.` with its end: 28 tokens, a byte each.
    let first = told(chat.send("Hi").await.unwrap()).await.unwrap();
    assert_eq!(first.report.usage.prompt_tokens + first.report.usage.completion_tokens, 27);
    told(chat.send("Hi").await.unwrap()).await.unwrap();
    let error = told(chat.send("Hi").await.unwrap()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    let expected = "the 60 tokens a minute that the session may use are spent: 30 are there again in ";
    assert!(error.to_string().contains(expected), "{error}");
    // A limit by the component's own manifest holds too, and a generation is cut to what a minute has.
    let (told, report) = run(&model, errand_that_asks("tokens = 4"), &[], &["ask", "model", "Hi"]).await.unwrap();
    assert_eq!((told.as_str(), report.usage.completion_tokens), ("Hell\n", 4));
}

#[tokio::test]
async fn votes_are_counted_over_forks_and_models() {
    let folders = Folders::new();
    let model = model(&folders).await;
    let vote = || ComponentRef::Bytes { name: "vote".to_owned(), bytes: guest("vote").into() };
    let (told, report) = run(&model, vote(), &[], &["--voters", "3", "The capital?"]).await.unwrap();
    assert_eq!(told, "model 1: Tokyo.\nmodel 2: Tokyo.\nmodel 3: Tokyo.\nTokyo. (3 of 3)\n");
    // The question was read once: a fork has it from the cache.
    assert!(report.usage.cached_tokens * 2 > report.usage.prompt_tokens, "{:?}", report.usage);
    let grant = format!("model={}", second_model(&folders));
    let told = said(&model, vote(), &[&grant], &["--voters", "1", "The capital?"]).await.unwrap();
    assert_eq!(told, "model 1: Tokyo.\nsecond 1: Tokyo.\nTokyo. (2 of 2)\n");
    let error = said(&model, vote(), &[], &[]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

#[tokio::test]
async fn a_run_that_is_cancelled_ends() {
    let folders = Folders::new();
    let gate = wasmlx::backend::fake::Gate::new();
    let script = answers(&[("Hi", "Hello.")]).hold_pass(3, &gate);
    let model = folders.host(script).load(&folders.model()).await.unwrap();
    let mut run = model.chat().run_agent(errand_that_asks(""), ["ask", "model", "Hi"]).await.unwrap();
    run.cancel();
    let error = loop {
        match run.next().await.expect("its last event") {
            Ok(Event::Content(_)) => {}
            Ok(event) => panic!("{event:?}"),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    assert!(run.next().await.is_none());
    gate.open();
}

#[tokio::test]
async fn a_hostile_manifest_is_refused_as_the_component_is_loaded() {
    let folders = Folders::new();
    let model = model(&folders).await;
    let section = |content: &[u8]| {
        let mut section = vec![15];
        section.extend_from_slice(b"wasmlx-manifest");
        section.extend_from_slice(content);
        let mut bytes = vec![0];
        let mut length = section.len();
        while length >= 0x80 {
            bytes.push((length & 0x7f) as u8 | 0x80);
            length >>= 7;
        }
        bytes.push(length as u8);
        bytes.extend(section);
        bytes
    };
    let plain = b"name = 'a'\nversion = '0.1.0'\nkind = 'agent'\nwasmlx = '0.1'\n";
    let bare = bare_errand();
    let with = |parts: &[&[u8]]| [&bare[..], &parts.concat()[..]].concat();
    let large = [&plain[..], b"#", &vec![b'x'; 1 << 20][..]].concat();
    for (bytes, expected) in [
        (with(&[&section(b"name = '\xff'")]), "it is no text"),
        (with(&[&section(&large)]), "65536 are allowed"),
        (with(&[&section(plain), &section(plain)]), "two custom sections"),
        (with(&[&section(&[&plain[..], b"rights = 'all'\n"].concat())]), "unknown field `rights`"),
        (
            with(&[&section(b"name = 'a'\nversion = '0.1.0'\nkind = 'policy'\nwasmlx = '0.1'\n")]),
            "it says that this is",
        ),
    ] {
        let agent = ComponentRef::Bytes { name: "hostile".to_owned(), bytes: bytes.into() };
        let error = said(&model, agent, &[], &["env", "HOME"]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidComponent, "{error}");
        assert!(error.to_string().contains(expected), "{error}");
    }
    let agent = ComponentRef::Bytes { name: "bare".to_owned(), bytes: with(&[&section(plain)]).into() };
    denied(said(&model, agent, &["env=HOME"], &["env", "HOME"]).await, "there is no variable");
}

/// The agent without its manifest.
fn bare_errand() -> Vec<u8> {
    let manifest = b"wasmlx-manifest";
    let place = ERRAND.windows(manifest.len()).rposition(|window| window == manifest).expect("it has a manifest");
    // Before the name: the section's number, its length of one or two bytes, and the name's length.
    let text = ERRAND.len() - place;
    let before = if text + 1 < 0x80 { 3 } else { 4 };
    ERRAND[..place - before].to_vec()
}

#[tokio::test]
async fn an_agent_is_no_chat_and_a_chat_no_agent() {
    let folders = Folders::new();
    let model = folders.host(FakeScript::new()).load(&folders.model()).await.unwrap();
    let error = model.chat().chat_component(errand()).build().await.unwrap_err();
    assert_eq!(
        (error.kind(), error.to_string().as_str()),
        (ErrorKind::InvalidComponent, "errand is an agent; a chat is needed here")
    );
    let error = said(&model, "chat".into(), &[], &[]).await.unwrap_err();
    assert_eq!(error.to_string(), "chat is a chat; an agent is needed here");
}
