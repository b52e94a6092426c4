//! JavaScript: componentize-qjs puts `component.js`, what it imports and QuickJS into one component.

use std::fs;
use std::process::Command;

use super::{Language, Project, cannot, interfaces, tool};
use crate::failure::Result;

pub(super) fn build(project: &Project) -> Result<Vec<u8>> {
    let (wit, world) = (interfaces::folder(project)?, project.world()?);
    let component = project.target()?.join("component.wasm");
    let folder = fs::canonicalize(&project.folder).map_err(|error| cannot("find", &project.folder, &error))?;
    let installed = folder.ancestors().map(|above| above.join("node_modules/.bin/componentize-qjs"));
    let program = tool::on_path("componentize-qjs").or_else(|| installed.into_iter().find(|path| path.is_file()));
    let program = program.ok_or_else(|| tool::missing("componentize-qjs", Language::JavaScript))?;
    let mut command = Command::new(program);
    command.arg("--wit").arg(wit).args(["--world", world]);
    command.arg("--js").arg(folder.join("component.js")).arg("--module-root").arg(&folder);
    // QuickJS imports WASI; stubs take its place, which trap when they are called. No interface is asynchronous.
    command.args(["--stub-wasi", "--sync", "--output"]).arg(&component);
    tool::run(&mut command, "what componentize-qjs said is above")?;
    fs::read(&component).map_err(|error| cannot("read", &component, &error))
}
