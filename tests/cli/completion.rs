//! Completion of the command line, asked for as shells ask.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use crate::store::Home;
use crate::support::ran;

/// A model of four small tensors.
const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/models/llama-float32");

/// What fish is told, a candidate a line, for the last of these words.
fn candidates(home: &Home, words: &[&str]) -> Vec<String> {
    let mut command = home.command(&["--", "wasmlx"]);
    let told = ran(command.args(words).env("WASMLX_COMPLETE", "fish")).ok();
    assert_eq!(told.stderr, "", "{words:?}");
    told.stdout.lines().map(|line| line.split('\t').next().unwrap_or_default().to_owned()).collect()
}

/// A home with two models, an unfinished one, and a component.
fn furnished() -> Home {
    let home = Home::new();
    for name in ["maker/Tiny", "tiny-import"] {
        home.run(&["store", "import", FIXTURE, "--name", name]).ok();
    }
    let unfinished = home.path().join("manifests/huggingface.co/maker/half");
    std::fs::create_dir_all(&unfinished).unwrap();
    let intent =
        r#"{"schema": 1, "host": "huggingface.co", "namespace": "maker", "name": "half", "tag": "main", "files": []}"#;
    std::fs::write(unfinished.join("main.json.pulling"), intent).unwrap();
    let policy = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/components/min-p.wasm");
    home.run(&["component", "add", policy.to_str().unwrap(), "--no-test", "--name", "mine"]).ok();
    home
}

#[test]
fn what_is_on_this_machine_is_offered_where_it_is_to_be_named() {
    let home = furnished();
    let mut told = String::new();
    for words in [
        &["run", "-m", ""][..],
        &["run", "--model", "maker/"],
        &["chat", "-m", "tiny"],
        &["bench", "-m", "Ti"],
        &["store", "path", "t"],
        &["store", "bind", ""],
        &["store", "rm", ""],
        &["store", "rm", "maker/Tiny", "t"],
        &["pull", "mak"],
        &["run", "--template", ""],
        &["run", "--sampler", "m"],
        &["run", "--chat", ""],
        &["run", "--agent", ""],
        &["bench", "--sampler", ""],
        &["bench", "--sampler", "native,mi"],
        &["component", "inspect", "m"],
        &["component", "rm", ""],
        &["template", "render", "-t", "c"],
        &["store", "g"],
        &["run", "--temp"],
        &["run", "-m", "nothing-begins-so"],
    ] {
        let line = format!("wasmlx {}: {}", words.join(" "), candidates(&home, words).join(" "));
        writeln!(told, "{}", line.trim_end()).unwrap();
    }
    insta::assert_snapshot!(told);
}

#[test]
fn paths_are_offered_where_a_path_was_begun() {
    let home = furnished();
    let here = |typed: &str, words: &[&str]| {
        let folder = Path::new(FIXTURE).parent().unwrap();
        let mut command = home.command(&["--", "wasmlx"]);
        command.args(words).arg(typed).env("WASMLX_COMPLETE", "fish").current_dir(folder);
        ran(&mut command).ok().stdout
    };
    assert!(here("./llama-fl", &["run", "-m"]).contains("./llama-float32/"));
    assert!(here("./llama-float32/con", &["run", "--template"]).contains("./llama-float32/config.json"));
    assert!(here("./llama-float32/con", &["run", "-m"]).is_empty(), "a model is a folder");
}

/// Each Tab starts the program: it must leave no trace.
#[test]
fn who_asks_for_candidates_changes_nothing() {
    let home = Home::new();
    assert_eq!(candidates(&home, &["run", "-m", ""]), ["builtin"]);
    for words in [["store", "rm", ""], ["component", "rm", ""]] {
        assert!(candidates(&home, &words).iter().all(|candidate| candidate.starts_with("--")), "{words:?}");
    }
    assert!(!home.path().exists());
    // What is torn is for a command to tell.
    std::fs::create_dir_all(home.path()).unwrap();
    std::fs::write(home.path().join("models.toml"), "torn = ").unwrap();
    assert_eq!(candidates(&home, &["run", "-m", ""]), ["builtin"]);
    assert!(candidates(&home, &["store", "show", "x"]).is_empty());
}

#[test]
fn each_shell_has_a_script_that_asks_the_program() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = crate::support::run(&["completion", shell]).ok().stdout;
        assert!(script.contains("WASMLX_COMPLETE") && script.contains("wasmlx"), "{shell}: {script}");
    }
    crate::support::run(&["completion", "dash"]).failed(2);
}

/// The script in bash itself, where it is there.
#[cfg(unix)]
#[test]
fn bash_completes_the_names_of_models() {
    let home = furnished();
    let program = Path::new(env!("CARGO_BIN_EXE_wasmlx"));
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(program.parent().unwrap().to_path_buf()).chain(std::env::split_paths(&folders));
    let press_tab = "source <(wasmlx completion bash); COMP_WORDS=(wasmlx run -m mak); COMP_CWORD=3; COMP_TYPE=9; \
                     _clap_complete_wasmlx wasmlx mak -m; printf '%s\\n' \"${COMPREPLY[@]}\"; complete -p wasmlx";
    let mut bash = Command::new("bash");
    bash.args(["--norc", "-c", press_tab]).env("WASMLX_HOME", home.path());
    let told = match bash.env("PATH", std::env::join_paths(folders).unwrap()).output() {
        Ok(told) => told,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            eprintln!("skipped: no bash");
            return;
        }
        Err(error) => panic!("{error}"),
    };
    let (stdout, stderr) = (String::from_utf8_lossy(&told.stdout), String::from_utf8_lossy(&told.stderr));
    let mut lines = stdout.lines();
    assert_eq!(lines.next(), Some("maker/Tiny"), "{stderr}");
    assert!(lines.next().is_some_and(|line| line.ends_with(" -F _clap_complete_wasmlx wasmlx")), "{stdout}");
}
