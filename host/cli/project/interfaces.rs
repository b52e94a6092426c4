//! The interfaces that components are built against: this host's own, or a copy that a project keeps in `wit/`.

use std::fs;
use std::path::{Path, PathBuf};

use wasmlx::{ComponentKind, ErrorKind};
use wit_bindgen_c::Opts;
use wit_bindgen_core::Files;
use wit_bindgen_core::wit_parser::{Resolve, World, WorldKey};

use super::{Project, cannot, failed};
use crate::failure::{Failure, Result};

/// This host's interfaces, file by file, but for those of agents: they draw in the packages of WASI, and are built by
/// Cargo against `wit/` itself.
pub(crate) const FILES: [(&str, &str); 7] = [
    ("types.wit", include_str!("../../../wit/types.wit")),
    ("template.wit", include_str!("../../../wit/template.wit")),
    ("grammars.wit", include_str!("../../../wit/grammars.wit")),
    ("vocabulary.wit", include_str!("../../../wit/vocabulary.wit")),
    ("policy.wit", include_str!("../../../wit/policy.wit")),
    ("logging.wit", include_str!("../../../wit/logging.wit")),
    ("chat.wit", include_str!("../../../wit/chat.wit")),
];

/// The world of a kind of component.
pub(super) fn world(kind: ComponentKind) -> Result<&'static str> {
    match kind {
        ComponentKind::Template => Ok("prompt-template"),
        ComponentKind::Policy => Ok("sampling-policy"),
        ComponentKind::Chat => Ok("chat-component"),
        kind => Err(Failure::new(ErrorKind::Unsupported, format_args!("nothing here builds a {kind}"))),
    }
}

/// The folder of the interfaces that a project is built against.
pub(super) fn folder(project: &Project) -> Result<PathBuf> {
    let own = project.folder.join("wit");
    if own.is_dir() {
        return fs::canonicalize(&own).map_err(|error| cannot("find", &own, &error));
    }
    let folder = project.target()?.join("wit");
    fs::create_dir_all(&folder).map_err(|error| cannot("make", &folder, &error))?;
    for (name, text) in FILES {
        write(&folder.join(name), text.as_bytes())?;
    }
    Ok(folder)
}

/// Writes what C needs of a project's world into its target folder, which is returned: `wasmlx.h`, `wasmlx.c` and
/// `wasmlx_component_type.o`, an object whose custom section tells the world.
pub(super) fn bindings(project: &Project) -> Result<PathBuf> {
    let (folder, name) = (folder(project)?, project.world()?);
    let files = generate(&folder, name).map_err(|error| {
        failed(
            ErrorKind::InvalidInput,
            format_args!("{} is no copy of the interfaces: {error}", folder.display()),
            "without a folder `wit`, this host's own are taken",
        )
    })?;
    let target = project.target()?;
    for (name, bytes) in files.iter() {
        write(&target.join(name), bytes)?;
    }
    Ok(target)
}

/// C's bindings of a world: names of files, and what is in them.
fn generate(folder: &Path, world: &str) -> std::result::Result<Files, String> {
    let told = |error| format!("{error:#}");
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_path(folder).map_err(told)?;
    let world = resolve.select_world(&[package], Some(world)).map_err(told)?;
    // `policy_...` for `wasmlx_runner_policy_...`: a component has to do with no other package.
    let mut rename = Vec::new();
    let World { imports, exports, .. } = &resolve.worlds[world];
    for interface in imports.keys().chain(exports.keys()) {
        if let WorldKey::Interface(id) = interface
            && let (Some(full), Some(short)) = (resolve.id_of(*id), &resolve.interfaces[*id].name)
            && full.starts_with("wasmlx:runner/")
        {
            rename.push((full, short.clone()));
        }
    }
    let options = Opts { rename, rename_world: Some("wasmlx".to_owned()), ..Opts::default() };
    let mut files = Files::default();
    options.build().generate(&mut resolve, world, &mut files).map_err(told)?;
    Ok(files)
}

fn write(path: &Path, bytes: &[u8]) -> Result {
    fs::write(path, bytes).map_err(|error| cannot("write", path, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_interfaces_but_agents_is_here() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("wit");
        let mut there: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.ends_with(".wit") && name != "agent.wit")
            .collect();
        let mut here = FILES.map(|(name, _)| name.to_owned()).to_vec();
        there.sort();
        here.sort();
        assert_eq!(here, there);
    }
}
