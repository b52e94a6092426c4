//! Zig: `component.zig` with the bindings of C, translated into the module `wasmlx`.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::{Language, Project, cannot, encode, interfaces, tool};
use crate::failure::Result;

/// What is called a WASI target is one with a C library; a module that uses nothing of WASI imports nothing of it.
pub(super) const TARGET: &str = "wasm32-wasi";

/// The stack of a component: that of Rust's. Zig's own 16 MiB would count in the memory of every instance.
pub(super) const STACK_BYTES: &str = "1048576";

pub(super) fn build(project: &Project) -> Result<Vec<u8>> {
    // The language is not at its 1.0, and differs from version to version.
    let hint =
        format!("what Zig said is above; it is used as of the version that `{}` installs", Language::Zig.install());
    let bindings = interfaces::bindings(project)?;
    let header = bindings.join("wasmlx.h");
    let mut translate = command(Language::Zig)?;
    let translated = tool::run(translate.args(["translate-c", "-target", TARGET, "-lc"]).arg(&header), &hint)?;
    let translation = bindings.join("wasmlx.zig");
    fs::write(&translation, translated).map_err(|error| cannot("write", &translation, &error))?;

    let module = bindings.join("module.wasm");
    let named = |name: &str, path: &Path| format!("-M{name}={}", path.display());
    let mut compile = command(Language::Zig)?;
    compile
        .args(["build-exe", "-target", TARGET, "-mexec-model=reactor", "-rdynamic", "-lc", "-O", "ReleaseSmall"])
        .args(["-fstrip", "--stack", STACK_BYTES, "--dep", "wasmlx"])
        .arg(named("root", &project.folder.join("component.zig")))
        .arg(bindings.join("wasmlx.c"))
        .arg(bindings.join("wasmlx_component_type.o"))
        .arg(named("wasmlx", &translation))
        .arg("--cache-dir")
        .arg(bindings.join("zig-cache"))
        .arg(format!("-femit-bin={}", module.display()));
    tool::run(&mut compile, &hint)?;
    encode(&module)
}

/// Zig: a program, or the package of that name of Python's.
pub(super) fn command(language: Language) -> Result<Command> {
    let program = tool::on_path("zig").map(Command::new);
    program.or_else(|| tool::python("ziglang", &["-m", "ziglang"])).ok_or_else(|| tool::missing("Zig", language))
}
