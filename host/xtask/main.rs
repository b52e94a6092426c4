//! Set-up, guests, tidy checks, tests, bundles: `cargo xtask help`.
//!
//! Progress goes to stderr, so that what `cargo xtask run` prints on stdout is the answer alone.

mod bundle;
mod fuzz;
mod guests;
mod setup;
mod tidy;
mod toolchains;
mod workspace;

use std::num::NonZero;
use std::os::unix::process::CommandExt;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use workspace::Workspace;

const HELP: &str = "\
usage: cargo xtask VERB

  setup         installs what is missing: MLX, OpenBLAS, the WebAssembly target
  guests        builds the Rust components into target/components/
  run ARGS      wasmlx run ARGS, after set-up and building
  test [--all]  every test; --all adds those marked #[ignore]: soaks, heavy toolchains; and fuzzing, a minute a target
  fuzz SECONDS  every fuzzing target for so long
  tidy          the structure's rules, formatting, lints
  bundle [DIR]  a release folder that needs neither compiler nor Python
  help          this text
";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let verb = arguments.next().unwrap_or_default();
    let arguments: Vec<String> = arguments.collect();
    let done = Workspace::find().and_then(|workspace| match (verb.as_str(), arguments.as_slice()) {
        ("setup", []) => setup::run(&workspace),
        ("guests", []) => guests(&workspace),
        ("run", arguments) => run(&workspace, arguments),
        ("test", []) => test(&workspace, false),
        ("test", [all]) if all == "--all" => test(&workspace, true),
        ("fuzz", [seconds]) => fuzz(&workspace, seconds),
        ("tidy", []) => tidy::run(&workspace),
        ("bundle", []) => bundle(&workspace, None),
        ("bundle", [folder]) => bundle(&workspace, Some(folder)),
        ("help" | "--help" | "-h", _) => {
            print!("{HELP}");
            Ok(())
        }
        _ => {
            eprint!("{HELP}");
            std::process::exit(2)
        }
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn guests(workspace: &Workspace) -> Result<()> {
    setup::run(workspace)?;
    guests::build(workspace)
}

fn bundle(workspace: &Workspace, folder: Option<&String>) -> Result<()> {
    guests(workspace)?;
    bundle::build(workspace, folder.map(Into::into))
}

fn run(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    guests(workspace)?;
    // Told of the whole workspace, Cargo chooses the features of dependencies as it does for `test`: one build serves
    // both.
    workspace.cargo(&["build", "--workspace", "--bin", "wasmlx"])?;
    // The program takes this process's place: signals and the exit code are its own.
    let failure = std::process::Command::new(workspace.target.join("debug/wasmlx")).arg("run").args(arguments).exec();
    bail!("cannot run the wasmlx just built: {failure}")
}

fn fuzz(workspace: &Workspace, seconds: &str) -> Result<()> {
    let seconds = seconds.parse().with_context(|| format!("{seconds} is no number of seconds"))?;
    guests(workspace)?;
    fuzz::run(workspace, seconds)
}

/// How many seconds a target gets where all is tested.
const FUZZING: NonZero<u32> = NonZero::new(60).expect("it is not 0");

/// What proptest begins with:
/// <https://docs.rs/proptest/latest/proptest/test_runner/struct.Config.html#structfield.rng_seed>.
const RANDOM_SEED: &str = "PROPTEST_RNG_SEED";

fn test(workspace: &Workspace, all: bool) -> Result<()> {
    guests(workspace)?;
    toolchains::install(workspace, all)?;
    // A breach of the rules hides no failing test.
    let tidy = tidy::structure(workspace).inspect_err(|error| workspace::say(format_args!("{error:#}")));
    let mut command = workspace.cargo_command();
    command.args(["test", "--workspace", "--no-fail-fast"]);
    // Tests that load models take memory for them, and every processor while they compute: in turn, they fit a small
    // machine.
    command.env("RUST_TEST_THREADS", "1");
    toolchains::show(workspace, &mut command)?;
    if all {
        command.args(["--", "--include-ignored"]);
    } else if std::env::var_os(RANDOM_SEED).is_none() {
        // Two runs of one commit try the same random inputs; it is `--all` that looks for new ones.
        command.env(RANDOM_SEED, "1");
    }
    workspace::succeed(&mut command)?;
    if all {
        fuzz::run(workspace, FUZZING)?;
    }
    tidy
}
