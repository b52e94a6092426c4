//! Tools from the command line, called by the built-in model.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::support::run;

const QUESTION: &str = "What is the weather in Rome?";

/// Asks about the weather with a tool; what is told is that the tool was called and what the answer made of its result.
#[track_caller]
fn ask(options: &[&str]) {
    let ran = run(&[&["run", QUESTION, "--temperature", "0"], options].concat()).ok();
    assert!(ran.stdout.contains("21 degrees") && ran.stdout.contains("sunny"), "{}", ran.stdout);
    assert!(ran.stderr.contains(r#"get_weather({"city": "Rome"})"#), "{}", ran.stderr);
}

fn fixture(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/mcp").join(name).to_string_lossy().into_owned()
}

#[test]
fn a_shell_command_is_a_tool() {
    let command = r#"grep -q '"city":"Rome"' && echo '{"temperature_c": 21, "condition": "sunny"}'"#;
    ask(&["--tool", &format!("get_weather={command}")]);
    ask(&["--tool", &format!("get_weather(city: string)={command}")]);
}

#[test]
fn a_tool_that_fails_is_told_to_the_model_and_not_to_the_shell() {
    let ran = run(&["run", QUESTION, "--temperature", "0", "--tool", "get_weather=echo broken >&2; false"]).ok();
    assert!(ran.stderr.contains("exit status: 1") && ran.stderr.contains("broken"), "{}", ran.stderr);
}

#[test]
fn without_a_tool_none_is_called() {
    let ran = run(&["run", QUESTION, "--temperature", "0"]).ok();
    assert!(!ran.stderr.contains("get_weather("), "{}", ran.stderr);
}

#[test]
fn a_tool_that_is_none_is_used_wrongly() {
    let ran = run(&["run", QUESTION, "--tool", "get_weather"]).failed(2);
    assert!(ran.stderr.contains("a command is needed"), "{}", ran.stderr);
}

#[test]
fn an_mcp_server_is_started() {
    ask(&["--mcp", &format!("python3 {}", fixture("plain.py"))]);
}

#[test]
fn an_mcp_server_that_is_none_is_told() {
    for (server, expected) in [("true", "the MCP server sh -c true"), ("http://127.0.0.1:1/mcp", "127.0.0.1:1")] {
        let ran = run(&["run", QUESTION, "--mcp", server]).failed(1);
        assert!(ran.stderr.contains(expected), "{}", ran.stderr);
        assert_eq!(ran.stdout, "");
    }
}

#[test]
#[ignore = "installs a package from PyPI"]
fn a_server_by_the_protocols_own_sdk_is_started_or_connected_to() {
    let python = python_with_sdk();
    let (python, server) = (python.to_string_lossy(), fixture("sdk.py"));
    ask(&["--mcp", &format!("{python} {server}")]);

    // A port that was free a moment ago.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut command = Command::new(&*python);
    command.args([&server, &port.to_string()]).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = Running(command.spawn().unwrap());
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(child.0.try_wait().unwrap().is_none(), "the server ended");
        std::thread::yield_now();
    }
    ask(&["--mcp", &format!("http://127.0.0.1:{port}/mcp")]);
}

/// A Python that has the SDK, in the target folder.
fn python_with_sdk() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("mcp-2.3.0");
    let python = folder.join("bin/python");
    let has_sdk =
        |python: &Path| Command::new(python).args(["-c", "import mcp"]).output().is_ok_and(|ran| ran.status.success());
    if !has_sdk(&python) {
        let done = |command: &mut Command| assert!(command.status().unwrap().success(), "{command:?}");
        done(Command::new("python3").args(["-m", "venv"]).arg(&folder));
        done(Command::new(&python).args(["-m", "pip", "install", "--quiet", "mcp==2.3.0"]));
    }
    python
}

/// A process that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}
