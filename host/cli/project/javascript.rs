//! JavaScript: componentize-qjs puts `component.js`, what it imports and QuickJS into one component.

use std::fs;
use std::process::Command;

use wasmlx::ComponentKind;

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
    // No interface is asynchronous.
    command.arg("--sync");
    let hint = match project.kind()? {
        // What QuickJS imports of WASI is there.
        ComponentKind::Agent => "what componentize-qjs said is above; it makes no component that imports wasi:http",
        // Stubs take its place, which trap when they are called.
        _ => {
            command.arg("--stub-wasi");
            "what componentize-qjs said is above"
        }
    };
    tool::run(command.arg("--output").arg(&component), hint)?;
    fs::read(&component).map_err(|error| cannot("read", &component, &error))
}
