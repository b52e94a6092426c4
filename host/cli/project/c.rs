//! C: every `.c` file of the folder, compiled with bindings that are made here, by the C compiler within Zig, which
//! brings a C library for WebAssembly with it.

use std::fs;

use super::{Language, Project, cannot, encode, interfaces, tool, zig};
use crate::failure::Result;

pub(super) fn build(project: &Project) -> Result<Vec<u8>> {
    let mut command = zig::command(Language::C)?;
    let bindings = interfaces::bindings(project)?;
    let module = bindings.join("module.wasm");
    command
        .args(["cc", "-target", zig::TARGET, "-mexec-model=reactor", "-std=gnu23", "-Os", "-s", "-Wall", "-Wextra"])
        // Functions have the parameters that the interfaces give them, whether they use them or not.
        .arg("-Wno-unused-parameter")
        .arg(format!("-Wl,-z,stack-size={}", zig::STACK_BYTES))
        .arg("-I")
        .arg(&bindings);
    let entries = fs::read_dir(&project.folder).map_err(|error| cannot("read", &project.folder, &error))?;
    let mut sources: Vec<_> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "c"))
        .collect();
    // The same order gives the same module.
    sources.sort();
    command.args(sources).arg(bindings.join("wasmlx.c")).arg(bindings.join("wasmlx_component_type.o"));
    tool::run(command.arg("-o").arg(&module), "what the compiler said is above")?;
    encode(&module)
}
