//! Python: componentize-py puts `component.py`, what it imports and CPython itself into one component.

use std::fs;
use std::process::Command;

use super::{Language, Project, cannot, interfaces, tool};
use crate::failure::Result;

pub(super) fn build(project: &Project) -> Result<Vec<u8>> {
    let (wit, world) = (interfaces::folder(project)?, project.world()?);
    let component = project.target()?.join("component.wasm");
    let program = tool::on_path("componentize-py").map(Command::new);
    let mut command = program
        .or_else(|| tool::python("componentize_py", &["-c", "import componentize_py; componentize_py.script()"]))
        .ok_or_else(|| tool::missing("componentize-py", Language::Python))?;
    command.arg("--wit-path").arg(wit).args(["--world", world, "componentize"]);
    // CPython imports all of WASI; stubs take its place, which trap when they are called.
    command.arg("--stub-wasi").arg("--python-path").arg(&project.folder).arg("--output").arg(&component);
    tool::run(command.arg("component"), "what componentize-py said is above")?;
    fs::read(&component).map_err(|error| cannot("read", &component, &error))
}
