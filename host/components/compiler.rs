//! Compiling components out of the way of what runs: by a command in a process of its own, or on one thread here.
//!
//! The command reads a component from its standard input and writes an answer to its standard output: the SHA-256 of
//! the rest, a byte that says what the rest is, and an artefact or a sentence. So an answer that broke off, or that
//! something else was printed into, is none.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;

use sha2::{Digest, Sha256};

use crate::runtime::base_config;
use crate::{ComponentError, ComponentErrorKind};

/// Bytes of the digest at the beginning of an answer.
const DIGEST: usize = 32;

/// What the rest of an answer is.
const ARTEFACT: u8 = 0;
const REFUSAL: u8 = 1;

/// A command that compiles a component: a program that calls [`compile`] with its standard input and output. It is
/// started once for each component, with the lowest priority.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompilerCommand {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
}

/// What a [`CompilerCommand`] does: reads a component to the end of `input`, and writes what it compiles to.
///
/// # Errors
/// Those of reading and writing. That the bytes are no valid component is part of the answer.
pub fn compile(input: impl Read, output: impl Write) -> io::Result<()> {
    yield_to_others(Whom::Process);
    answer(input, output)
}

fn answer(mut input: impl Read, mut output: impl Write) -> io::Result<()> {
    let mut bytes = Vec::new();
    input.read_to_end(&mut bytes)?;
    let (kind, rest) = match artefact(&bytes) {
        Ok(artefact) => (ARTEFACT, artefact),
        Err(error) => (REFUSAL, format!("{error:#}").into_bytes()),
    };
    output.write_all(&digest(kind, &rest))?;
    output.write_all(&[kind])?;
    output.write_all(&rest)?;
    output.flush()
}

/// Compiles a component out of the way: by the command, or where there is none or it cannot be started on a thread of
/// this process. Blocks.
///
/// # Errors
/// [`ComponentErrorKind::NotAComponent`]; [`ComponentErrorKind::CompilerFailed`] where the command breaks down: the
/// component that brought it down is not compiled in this process.
pub(crate) fn compile_aside(
    command: Option<&CompilerCommand>,
    name: &str,
    bytes: &[u8],
) -> Result<Vec<u8>, ComponentError> {
    let invalid = |why: &str| {
        ComponentError::new(ComponentErrorKind::NotAComponent, name, format!("it is no valid component: {why}"))
    };
    if let Some(command) = command {
        match start(command) {
            Ok(child) => {
                let answer = exchange(child, bytes).and_then(|output| read_answer(&output));
                return answer.map_err(|why| failed(command, name, &why))?.map_err(|why| invalid(&why));
            }
            Err(error) => {
                let program = command.program.display();
                tracing::warn!("cannot start the compiler {program}: {error}; components are compiled in this process");
            }
        }
    }
    let work = || {
        yield_to_others(Whom::Thread);
        artefact(bytes)
    };
    thread::scope(|scope| {
        let compiling = thread::Builder::new().name("wasmlx-compiler".into()).spawn_scoped(scope, work);
        let compiling = compiling.map_err(|error| {
            ComponentError::new(ComponentErrorKind::Io, name, format!("cannot start a thread to compile it: {error}"))
        })?;
        let compiled = compiling.join().map_err(|_| {
            ComponentError::new(ComponentErrorKind::CompilerFailed, name, "the compiler panicked over it")
        })?;
        compiled.map_err(|error| invalid(&format!("{error:#}")))
    })
}

/// Compiles on this thread alone, for every `wasmtime::Engine` here: how many threads compile and how instances are
/// allocated makes no difference to the artefact.
fn artefact(bytes: &[u8]) -> wasmtime::Result<Vec<u8>> {
    let mut config = base_config();
    config.parallel_compilation(false);
    wasmtime::Engine::new(&config)?.precompile_component(bytes)
}

fn start(command: &CompilerCommand) -> io::Result<Child> {
    let mut child = Command::new(&command.program);
    child.args(&command.arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    child.spawn()
}

/// What the process prints where it is given these bytes, and ends well.
fn exchange(mut child: Child, bytes: &[u8]) -> Result<Vec<u8>, String> {
    if let Some(mut input) = child.stdin.take() {
        // One that does not read to the end says why by how it ends.
        let _ = input.write_all(bytes);
    }
    let output = child.wait_with_output().map_err(|error| format!("its answer cannot be read: {error}"))?;
    if output.status.success() { Ok(output.stdout) } else { Err(format!("it ended with {}", output.status)) }
}

fn read_answer(output: &[u8]) -> Result<Result<Vec<u8>, String>, String> {
    let torn = || "its answer is torn".to_owned();
    let (found, rest) = output.split_at_checked(DIGEST).ok_or_else(torn)?;
    let (&kind, rest) = rest.split_first().ok_or_else(torn)?;
    if digest(kind, rest) != *found {
        return Err(torn());
    }
    match kind {
        ARTEFACT => Ok(Ok(rest.to_vec())),
        REFUSAL => Ok(Err(String::from_utf8_lossy(rest).into_owned())),
        _ => Err(torn()),
    }
}

fn digest(kind: u8, rest: &[u8]) -> [u8; DIGEST] {
    Sha256::new().chain_update([kind]).chain_update(rest).finalize().into()
}

fn failed(command: &CompilerCommand, name: &str, why: &str) -> ComponentError {
    let program = command.program.display();
    let message = format!("the compiler {program} failed over it: {why}. Nothing was kept of it.");
    ComponentError::new(ComponentErrorKind::CompilerFailed, name, message)
}

/// Who is to yield.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Whom {
    Process,
    Thread,
}

/// Lets everything else go first. Where the system does not let it, it takes its turns like others.
fn yield_to_others(whom: Whom) {
    // Niceness belongs to the process but on Linux, where each thread has its own.
    #[cfg(unix)]
    if whom == Whom::Process || cfg!(target_os = "linux") {
        const LEAST: i32 = 19;
        let _ = rustix::process::setpriority_process(None, LEAST);
    }
    #[cfg(not(unix))]
    let _ = whom;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(script: &str) -> CompilerCommand {
        CompilerCommand { program: "sh".into(), arguments: vec!["-c".into(), script.into()] }
    }

    #[test]
    fn an_answer_is_an_artefact_or_a_sentence() {
        let component = wat::parse_str("(component)").unwrap();
        let mut output = Vec::new();
        answer(&component[..], &mut output).unwrap();
        assert_eq!(read_answer(&output).unwrap().unwrap(), artefact(&component).unwrap());
        let mut output = Vec::new();
        answer(&b"nonsense"[..], &mut output).unwrap();
        assert!(read_answer(&output).unwrap().is_err());
    }

    #[test]
    fn a_torn_answer_is_none() {
        let mut output = Vec::new();
        answer(&wat::parse_str("(component)").unwrap()[..], &mut output).unwrap();
        for length in [0, 1, DIGEST, DIGEST + 1, output.len() - 1] {
            assert!(read_answer(&output[..length]).is_err(), "{length}");
        }
        for at in [0, DIGEST, DIGEST + 1, output.len() - 1] {
            let mut flipped = output.clone();
            flipped[at] ^= 1;
            assert!(read_answer(&flipped).is_err(), "{at}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_compiler_that_breaks_down_is_told_and_one_that_is_missing_replaced() {
        let component = wat::parse_str("(component)").unwrap();
        for script in ["kill -9 $$", "exit 3", "cat > /dev/null; echo nonsense", "cat"] {
            let error = compile_aside(Some(&command(script)), "c", &component).unwrap_err();
            assert_eq!(error.kind(), ComponentErrorKind::CompilerFailed, "{script}: {error}");
        }
        let missing = CompilerCommand { program: "/nowhere/compiler".into(), arguments: Vec::new() };
        assert!(compile_aside(Some(&missing), "c", &component).is_ok());
        assert_eq!(compile_aside(None, "c", b"nonsense").unwrap_err().kind(), ComponentErrorKind::NotAComponent);
    }
}
