//! `wasmlx chat`, in a terminal and in a pipe.

use rexpect::session::{PtySession, spawn_command};

use crate::support::{run_with_input, wasmlx};

const JAPAN: &str = "What is the capital of Japan?";
const TOKYO: &str = "The capital of Japan is Tokyo.";

/// Milliseconds that any answer may take. A busy machine is slow; a hang is worse.
const PATIENCE: u64 = 60_000;

/// A chat in a terminal of its own, at its first prompt, with a home of its own so that its history is its own.
fn chat(home: &std::path::Path, arguments: &[&str]) -> PtySession {
    let all: Vec<&str> = ["chat", "--color", "never"].iter().chain(arguments).copied().collect();
    let mut command = wasmlx(&all);
    command.env("WASMLX_HOME", home).env("TERM", "xterm").stdin(std::process::Stdio::inherit());
    let mut session = spawn_command(command, Some(PATIENCE)).expect("the program starts");
    session.exp_string("/help lists commands").expect("a greeting");
    prompt(&mut session);
    session
}

/// Waits until a line may be typed: what is typed before may be lost, as the terminal changes its mode.
fn prompt(session: &mut PtySession) {
    session.exp_string("> ").expect("a prompt");
}

/// Types without the Enter key.
fn type_in(session: &mut PtySession, keys: &str) {
    session.send(keys).expect("the terminal takes it");
    session.flush().expect("the terminal takes it");
}

/// Waits for the whole answer to [`JAPAN`].
fn answered_tokyo(session: &mut PtySession) {
    session.exp_string(TOKYO).expect("the capital");
    session.exp_string(" tokens/s").expect("the end of the answer");
    prompt(session);
}

/// Ends the input.
fn leave(mut session: PtySession) {
    session.send_control('d').expect("the terminal takes it");
    session.exp_eof().expect("the end");
}

#[test]
fn an_answer_streams_and_the_chat_goes_on() {
    let home = tempfile::tempdir().unwrap();
    let mut session = chat(home.path(), &["--temperature", "0"]);
    session.send_line(JAPAN).unwrap();
    answered_tokyo(&mut session);
    session.send_line("/retry").unwrap();
    answered_tokyo(&mut session);
    session.send_line("/quit").unwrap();
    session.exp_eof().unwrap();
}

#[test]
fn lines_are_edited_completed_and_remembered() {
    let home = tempfile::tempdir().unwrap();
    let mut session = chat(home.path(), &["--temperature", "0"]);
    // Left over the last two letters, and the missing ones in.
    type_in(&mut session, "What is the capital of Jan?");
    type_in(&mut session, "\x1b[D\x1b[D");
    session.send_line("pa").unwrap();
    answered_tokyo(&mut session);
    // A command completed by Tab.
    type_in(&mut session, "/he\t");
    session.exp_string("/help").unwrap();
    session.send_line("").unwrap();
    session.exp_string("forget the conversation").unwrap();
    prompt(&mut session);
    leave(session);

    // The arrow up, twice, brings the question back in another session.
    let mut session = chat(home.path(), &["--temperature", "0"]);
    type_in(&mut session, "\x1b[A\x1b[A");
    session.exp_string(JAPAN).unwrap();
    session.send_line("").unwrap();
    answered_tokyo(&mut session);
    leave(session);
}

#[test]
fn ctrl_c_stops_the_answer_and_not_the_program() {
    let home = tempfile::tempdir().unwrap();
    let mut session = chat(home.path(), &["--max-tokens", "900", "--temperature", "1.5"]);
    session.send_line("Tell me a very long story about a fox.").unwrap();
    // Some words of the answer, after the question's echo.
    session.exp_string("fox.").unwrap();
    session.exp_regex("[a-z]{3} [a-z]").unwrap();
    session.send_control('c').unwrap();
    session.exp_regex("tokens/s, [0-9.]+ s").unwrap();
    prompt(&mut session);
    // At the prompt it only clears the line.
    type_in(&mut session, "half a line");
    session.exp_string("half a line").unwrap();
    session.send_control('c').unwrap();
    prompt(&mut session);
    session.send_line("/set temperature 0").unwrap();
    prompt(&mut session);
    session.send_line("/clear").unwrap();
    prompt(&mut session);
    session.send_line(JAPAN).unwrap();
    answered_tokyo(&mut session);
    leave(session);
}

#[test]
fn a_conversation_is_saved_and_gone_on_with() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("talk.json");
    let file = file.to_str().unwrap();
    let said = run_with_input(&["chat", "--temperature", "0"], &format!("{JAPAN}\n/save {file}\n")).ok();
    assert!(said.stdout.contains(TOKYO), "{}", said.stdout);
    assert!(said.stderr.contains("2 messages saved"), "{}", said.stderr);
    let again = run_with_input(&["chat", "--temperature", "0"], &format!("/load {file}\n/retry\n")).ok();
    assert!(again.stderr.contains("2 messages loaded"), "{}", again.stderr);
    assert!(again.stdout.contains(TOKYO), "{}", again.stdout);
}

#[test]
fn a_line_that_fails_does_not_end_the_chat() {
    let lines = format!("/swap template nothing\n/load /nowhere/at/all\n/nonsense\n/set max_tokens many\n{JAPAN}\n");
    // It goes on, and its exit code says that not all went well.
    let ran = run_with_input(&["chat", "--temperature", "0"], &lines).failed(1);
    assert_eq!(ran.stdout, format!("{TOKYO}\n"));
    for told in ["nothing", "/nowhere/at/all", "no command /nonsense", "max_tokens is a whole number"] {
        assert!(ran.stderr.contains(told), "{told} in {}", ran.stderr);
    }
}

#[test]
fn components_are_swapped_while_it_runs() {
    let lines = format!("{JAPAN}\n/template chatml\n/sampler classic\n/set temperature 0\n/swap chat chat\n/retry\n");
    let ran = run_with_input(&["chat", "--temperature", "0", "--json"], &lines).ok();
    let answers: Vec<serde_json::Value> =
        ran.stdout.lines().map(|line| serde_json::from_str(line).expect("an object a line")).collect();
    assert_eq!(answers.len(), 2, "{}\n{}", ran.stdout, ran.stderr);
    for answer in &answers {
        assert_eq!(answer["text"], TOKYO);
    }
    let slots = ["template", "sampler", "chat"];
    let told: Vec<&str> =
        ran.stderr.lines().filter(|line| slots.iter().any(|slot| line.starts_with(&format!("{slot}: ")))).collect();
    assert_eq!(
        told,
        [
            "template: jinja -> chatml, no cases run",
            "sampler: default-policy -> classic, no cases run",
            "chat: chat -> chat, no cases run",
        ]
    );
}

#[test]
fn a_swap_tells_which_cases_were_run() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("cases")).unwrap();
    let built = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("target/components/default-policy.wasm");
    std::fs::copy(built, folder.path().join("mine.wasm")).unwrap();
    let case = r#"[{"name": "cold", "params": {"temperature": 0, "top_p": 1}, "plan": [{"temperature": 0}]}]"#;
    std::fs::write(folder.path().join("cases/plans.json"), case).unwrap();
    let swap = format!("/swap sampler {}", folder.path().display());
    let ran = run_with_input(&["chat"], &format!("{swap}\n{swap} --force\n/sampler\n")).ok();
    let expected = "sampler: default-policy -> mine, 1 case passed\nsampler: mine -> mine, no cases run\n\
                    sampler: mine -> default-policy, no cases run\n";
    assert_eq!(ran.stderr, expected);
}

/// With --json, and where stdout goes elsewhere, nothing but answers goes there.
#[test]
fn what_is_typed_leaves_no_trace_on_a_stdout_that_is_no_terminal() {
    let home = tempfile::tempdir().unwrap();
    let answers = home.path().join("answers");
    let script = r#"exec "$0" chat --temperature 0 "$@" > "$ANSWERS""#;
    for json in [false, true] {
        let mut command = std::process::Command::new("sh");
        command.args(["-c", script, env!("CARGO_BIN_EXE_wasmlx")]).args(json.then_some("--json"));
        command.env("WASMLX_HOME", home.path()).env("ANSWERS", &answers).env("TERM", "xterm");
        let mut session = spawn_command(command, Some(PATIENCE)).expect("the program starts");
        prompt(&mut session);
        session.send_line(JAPAN).unwrap();
        prompt(&mut session);
        session.send_control('d').unwrap();
        session.exp_eof().unwrap();
        let written = std::fs::read_to_string(&answers).unwrap();
        let text = if json { text_of(&written) } else { written.trim_end().to_owned() };
        assert_eq!(text, TOKYO, "{written:?}");
    }
    assert!(!home.path().join("chat-history.txt").exists(), "the history is the editor's");
}

fn text_of(object: &str) -> String {
    let answer: serde_json::Value = serde_json::from_str(object).expect("one object");
    answer["text"].as_str().expect("a text").to_owned()
}

#[test]
fn a_dumb_terminal_gets_no_escape_codes() {
    let home = tempfile::tempdir().unwrap();
    let mut command = wasmlx(&["chat", "--temperature", "0"]);
    command.env("WASMLX_HOME", home.path()).env("TERM", "dumb").env("CI", "true").stdin(std::process::Stdio::inherit());
    let mut session = spawn_command(command, Some(PATIENCE)).expect("the program starts");
    let mut seen = session.exp_string("> ").unwrap();
    session.send_line(JAPAN).unwrap();
    seen += &session.exp_string(TOKYO).unwrap();
    seen += &session.exp_string("> ").unwrap();
    session.send_control('d').unwrap();
    seen += &session.exp_eof().unwrap();
    assert!(!seen.contains('\x1b'), "{seen:?}");
}

#[test]
fn lines_of_a_pipe_are_not_remembered() {
    let home = tempfile::tempdir().unwrap();
    let input = home.path().join("input");
    std::fs::write(&input, "/help\n").unwrap();
    let mut command = wasmlx(&["chat"]);
    command.env("WASMLX_HOME", home.path()).stdin(std::fs::File::open(&input).unwrap());
    assert!(command.output().unwrap().status.success());
    assert!(!home.path().join("chat-history.txt").exists());
}
