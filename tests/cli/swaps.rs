//! `/swap` in `wasmlx chat`: what was never compiled is compiled by a process of its own.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::wasmlx;

const JAPAN: &str = "What is the capital of Japan?";
const TOKYO: &str = "The capital of Japan is Tokyo.";

/// Has the program's own process go on as a compiler, and note that.
const HONEST: &str = r#"echo "$*" >> "$LOG"; exec "$REAL" "$@""#;

/// A chat whose compiler is a script.
///
/// The program starts its own file as the compiler. So it is started by a second name of that file, which a script takes
/// the place of as soon as it runs.
struct Staged {
    folder: tempfile::TempDir,
}

impl Staged {
    fn new() -> Self {
        // Beside the program, so that it can have a second name there.
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/components/min-p.wasm");
        fs::copy(built, folder.path().join("min-p.wasm")).unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What a chat answers to the first line and, once its compiler is this script, to the others; and its stderr.
    fn chat(&self, compiler: &str, lines: &[String]) -> (Vec<String>, String) {
        let (program, script) = (self.path("wasmlx"), self.path("script"));
        let _ = fs::remove_file(&program);
        fs::hard_link(env!("CARGO_BIN_EXE_wasmlx"), &program).unwrap();
        let mut command = Command::new(&program);
        command.args(["chat", "--temperature", "0"]).envs(wasmlx(&[]).get_envs().filter_map(|(k, v)| Some((k, v?))));
        command.env("WASMLX_HOME", self.path("home")).env("LOG", self.path("log")).env("LC_ALL", "C");
        command.env("REAL", env!("CARGO_BIN_EXE_wasmlx")).env("FOLDER", self.folder.path());
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        let mut stdin = child.stdin.take().expect("stdin is piped");
        let mut stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let mut first = String::new();
        writeln!(stdin, "{JAPAN}").unwrap();
        stdout.read_line(&mut first).unwrap();
        fs::write(&script, format!("#!/bin/sh\n{compiler}\n")).unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        fs::rename(&script, &program).unwrap();
        for line in lines {
            writeln!(stdin, "{line}").unwrap();
        }
        drop(stdin);
        let answers = [first.trim_end().to_owned()].into_iter().chain(stdout.lines().map(Result::unwrap)).collect();
        let output = child.wait_with_output().unwrap();
        (answers, String::from_utf8(output.stderr).unwrap())
    }

    fn swap(&self) -> String {
        format!("/swap sampler {}", self.path("min-p.wasm").display())
    }

    /// How often the compiler was called, and how.
    fn calls(&self) -> Vec<String> {
        fs::read_to_string(self.path("log")).unwrap_or_default().lines().map(str::to_owned).collect()
    }

    /// How many compiled components there are.
    fn compiled(&self) -> usize {
        let files = fs::read_dir(self.path("home/cache/components")).expect("the cache's folder");
        files.filter(|file| file.as_ref().unwrap().path().extension().is_some_and(|it| it == "cwasm")).count()
    }
}

#[test]
fn a_new_component_is_compiled_by_a_child_once() {
    let staged = Staged::new();
    let lines = [staged.swap(), "/set min_p 1".to_owned(), "/set".to_owned(), "/retry".to_owned()];
    let (answers, told) = staged.chat(HONEST, &lines);
    assert_eq!(answers, [TOKYO, TOKYO], "{told}");
    assert!(told.contains(r#""sampler": "min-p""#), "{told}");
    assert_eq!(staged.calls(), ["compile-component"], "{told}");
    // Compiled code is kept, so another chat needs no compiler.
    let compiled = staged.compiled();
    let (answers, told) = staged.chat(HONEST, &lines);
    assert_eq!(answers, [TOKYO, TOKYO], "{told}");
    assert_eq!((staged.calls().len(), staged.compiled()), (1, compiled), "{told}");
}

#[test]
fn a_compiler_that_dies_or_lies_leaves_the_old_component() {
    // The first time it dies, the second time a byte of the compiled code is another, the third time all is well.
    let script = r#"echo "$*" >> "$LOG"
        case $(wc -l < "$LOG" | tr -d ' ') in
        1) kill -9 $$ ;;
        2) "$REAL" "$@" | { dd bs=1 count=999; dd bs=1 count=1 | tr '\000-\377' '\001-\377\000'; cat; } 2>/dev/null ;;
        *) exec "$REAL" "$@" ;;
        esac"#;
    let staged = Staged::new();
    let swaps = [staged.swap(), "/set".to_owned(), JAPAN.to_owned()];
    let lines: Vec<String> = swaps.iter().cycle().take(8).cloned().collect();
    let (answers, told) = staged.chat(script, &lines);
    assert_eq!(answers, [TOKYO, TOKYO, TOKYO], "{told}");
    assert_eq!(staged.calls().len(), 3, "{told}");
    let parts = [
        "min-p: the compiler",
        "failed over it: it ended with signal: 9",
        r#""sampler": "default-policy""#,
        "min-p: the compiler",
        "failed over it: its answer is torn",
        r#""sampler": "default-policy""#,
        r#""sampler": "min-p""#,
    ];
    let mut rest = told.as_str();
    for part in parts {
        rest = rest.split_once(part).unwrap_or_else(|| panic!("{part} in its place in {told}")).1;
    }
}

#[test]
#[cfg(target_os = "linux")]
fn the_compiler_lets_everything_else_go_first() {
    // Its answer is larger than a pipe holds, so once the first byte is there it waits, and can be looked at. The field
    // is that of `proc_pid_stat(5)`.
    let looks = r#"mkfifo "$FOLDER/answer"; exec 4<&0; "$REAL" "$@" <&4 > "$FOLDER/answer" & exec 3< "$FOLDER/answer"
        dd bs=1 count=1 <&3 2>/dev/null; cut -d' ' -f19 "/proc/$!/stat" >> "$LOG"; cat <&3"#;
    let staged = Staged::new();
    let (answers, told) = staged.chat(looks, &[staged.swap(), "/set".to_owned()]);
    assert!(answers == [TOKYO] && told.contains(r#""sampler": "min-p""#), "{told}");
    assert_eq!(staged.calls(), ["19"]);
}
