//! Wrong use, wrong files, and what is said about them.

use std::fs;

use crate::support::{home, ran, run, run_with_input, wasmlx};

#[test]
fn wrong_use_exits_with_2() {
    let wrong: [&[&str]; 15] = [
        &[],
        &["frobnicate"],
        &["run", "--no-such-option", "x"],
        &["run", "--temperature", "warm", "x"],
        &["run", "--temperature", "-1", "x"],
        &["run", "--temperature=nan", "x"],
        &["run", "--top-p", "1.5", "x"],
        &["chat", "--min-p", "-0.1"],
        &["run", "--max-tokens", "-1", "x"],
        &["run", "--sampler-params", "[1]", "x"],
        &["run", "--prompt-tokens", "1,2", "and a prompt"],
        &["run", "--prompt-tokens", "1,x"],
        &["run", "--logprobs", "5", "x"],
        &["run", "--raw", "--system", "Be brief.", "x"],
        &["bench", "-p", "0"],
    ];
    for arguments in wrong {
        let ran = run(arguments).failed(2);
        assert_eq!(ran.stdout, "", "{arguments:?}");
        assert!(!ran.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn no_prompt_is_wrong_use() {
    let ran = run_with_input(&["run"], "\n").failed(2);
    assert_eq!(ran.stderr, "error: no prompt: stdin is empty\n hint: see `wasmlx help`\n");
}

#[test]
fn help_and_version_go_to_stdout() {
    let version = run(&["--version"]).ok();
    assert_eq!(version.stdout, format!("wasmlx {}\n", env!("CARGO_PKG_VERSION")));
    let help = run(&["help", "run"]).ok();
    for option in ["--system", "--max-tokens", "--temperature", "--top-p", "--top-k", "--min-p", "--seed", "--stop"] {
        assert!(help.stdout.contains(option), "{option}");
    }
}

#[test]
fn help_groups_options_by_what_they_are_about() {
    let help = run(&["help", "run"]).ok().stdout;
    let group = |heading: &str| {
        let mut lines = help.lines().skip_while(|line| !line.starts_with(heading));
        lines.next();
        let lines = lines.take_while(|line| !line.is_empty());
        lines.filter_map(|line| line.split_whitespace().find(|word| word.starts_with("--"))).collect::<Vec<_>>()
    };
    assert_eq!(group("Model:"), ["--model", "--dtype", "--device"]);
    assert_eq!(
        group("Answer:"),
        [
            "--system",
            "--max-tokens",
            "--stop",
            "--agent",
            "--raw",
            "--prompt-tokens",
            "--ignore-eos",
            "--logprobs",
            "--watch"
        ]
    );
    assert_eq!(group("Components"), ["--template", "--sampler", "--chat", "--grant"]);
}

#[test]
fn a_number_out_of_range_is_told_with_the_range() {
    let ran = run(&["run", "--temperature", "-1", "x"]).failed(2);
    assert!(ran.stderr.contains("a number of at least 0"), "{}", ran.stderr);
}

#[test]
fn a_model_that_is_not_there_is_named_with_what_is() {
    let home = tempfile::tempdir().unwrap();
    let output = wasmlx(&["run", "-m", "nowhere/nothing", "hello"]).env("WASMLX_HOME", home.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("nowhere/nothing") && stderr.contains("builtin"), "{stderr}");
    assert_eq!(output.stdout, b"");
}

#[test]
fn a_component_that_is_not_there_is_named_with_what_is() {
    let ran = run(&["run", "--template", "nothing", "hello"]).failed(1);
    for name in ["nothing", "jinja", "chatml", "llama3", "./nothing"] {
        assert!(ran.stderr.contains(name), "{name} in: {}", ran.stderr);
    }
}

#[test]
fn a_component_in_the_wrong_slot_is_refused() {
    let ran = run(&["run", "--template", "classic", "hello"]).failed(1);
    assert!(ran.stderr.contains("classic"), "{}", ran.stderr);
}

/// A name means the store's model, whatever lies in the folder that the program is started in.
#[test]
fn a_model_of_the_store_is_not_hidden_by_a_folder() {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir(home.path().join("tiny")).unwrap();
    let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/models/llama-float32");
    let import = ["store", "import", fixture, "--name", "tiny"];
    ran(wasmlx(&import).env("WASMLX_HOME", home.path())).ok();
    let run = |model: &str| {
        let arguments = ["run", "-m", model, "--prompt-tokens", "1,5,9", "--max-tokens", "2", "--json"];
        let output = wasmlx(&arguments).env("WASMLX_HOME", home.path()).current_dir(home.path()).output();
        output.unwrap().status.code()
    };
    assert_eq!((run("tiny"), run("./tiny")), (Some(0), Some(1)));
}

/// Weights that a download left half written.
#[test]
fn a_torn_model_is_named_by_its_file() {
    // Makes sure that the built-in model is unpacked.
    run(&["run", "--max-tokens", "1", "hello"]).ok();
    let whole = find_model(&home());
    let torn = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(&whole).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            fs::copy(&path, torn.path().join(path.file_name().unwrap())).unwrap();
        }
    }
    let weights = torn.path().join("model.safetensors");
    let bytes = fs::read(&weights).unwrap();
    fs::remove_file(&weights).unwrap();
    fs::write(&weights, &bytes[..bytes.len() / 2]).unwrap();
    let ran = run(&["run", "-m", torn.path().to_str().unwrap(), "hello"]).failed(1);
    assert!(ran.stderr.contains("model.safetensors"), "{}", ran.stderr);

    fs::remove_file(torn.path().join("tokenizer.json")).unwrap();
    fs::write(&weights, &bytes).unwrap();
    let ran = run(&["run", "-m", torn.path().to_str().unwrap(), "hello"]).failed(1);
    assert!(ran.stderr.contains("tokenizer.json"), "{}", ran.stderr);
    // Ids need no tokenizer.
    run(&["run", "-m", torn.path().to_str().unwrap(), "--prompt-tokens", "1,5,9", "--max-tokens", "2"]).ok();
}

fn find_model(folder: &std::path::Path) -> std::path::PathBuf {
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        if folder.join("model.safetensors").is_file() {
            return folder;
        }
        let entries = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
        folders.extend(entries.filter(|path| path.is_dir()));
    }
    panic!("no model is unpacked under {}", folder.display());
}
