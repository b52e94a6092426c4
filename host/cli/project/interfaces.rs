//! The interfaces that components are built against: this host's own, or a copy that a project keeps in `wit/`.

use std::fs;
use std::path::{Path, PathBuf};

use wasmlx::{ComponentKind, ErrorKind};
use wit_bindgen_c::Opts;
use wit_bindgen_core::Files;
use wit_bindgen_core::wit_parser::{Resolve, World, WorldKey};

use super::{Language, Project, cannot, failed};
use crate::failure::{Failure, Result};

/// This host's interfaces, file by file.
const FILES: [(&str, &str); 8] = [
    ("types.wit", include_str!("../../../wit/types.wit")),
    ("template.wit", include_str!("../../../wit/template.wit")),
    ("grammars.wit", include_str!("../../../wit/grammars.wit")),
    ("vocabulary.wit", include_str!("../../../wit/vocabulary.wit")),
    ("policy.wit", include_str!("../../../wit/policy.wit")),
    ("logging.wit", include_str!("../../../wit/logging.wit")),
    ("store.wit", include_str!("../../../wit/store.wit")),
    ("chat.wit", include_str!("../../../wit/chat.wit")),
];

/// Those of agents, with the packages of WASI that they draw in.
const AGENT_FILES: [(&str, &str); 7] = [
    ("agent.wit", include_str!("../../../wit/agent.wit")),
    ("deps/wasi-cli.wit", include_str!("../../../wit/deps/wasi-cli.wit")),
    ("deps/wasi-clocks.wit", include_str!("../../../wit/deps/wasi-clocks.wit")),
    ("deps/wasi-filesystem.wit", include_str!("../../../wit/deps/wasi-filesystem.wit")),
    ("deps/wasi-http.wit", include_str!("../../../wit/deps/wasi-http.wit")),
    ("deps/wasi-io.wit", include_str!("../../../wit/deps/wasi-io.wit")),
    ("deps/wasi-random.wit", include_str!("../../../wit/deps/wasi-random.wit")),
];

/// The interfaces that a component of a kind is built against: names of files, and what is in them.
pub(crate) fn files(language: Language, kind: ComponentKind) -> Vec<(&'static str, String)> {
    let of_agents = if kind == ComponentKind::Agent { &AGENT_FILES[..] } else { &[] };
    let file = |&(name, text): &(&'static str, &str)| match language {
        // componentize-qjs cannot make a component that imports it: it takes its streams for other ones than WASI's.
        Language::JavaScript => (
            name,
            text.lines().filter(|line| !line.contains("import wasi:http/")).map(|line| format!("{line}\n")).collect(),
        ),
        _ => (name, text.to_owned()),
    };
    FILES.iter().chain(of_agents).map(file).collect()
}

/// The world of a kind of component.
pub(super) fn world(kind: ComponentKind) -> Result<&'static str> {
    match kind {
        ComponentKind::Template => Ok("prompt-template"),
        ComponentKind::Policy => Ok("sampling-policy"),
        ComponentKind::Chat => Ok("chat-component"),
        ComponentKind::Agent => Ok("agent"),
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
    let deps = folder.join("deps");
    fs::create_dir_all(&deps).map_err(|error| cannot("make", &deps, &error))?;
    for (name, text) in files(project.language, project.kind()?) {
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
    // `policy_...` for `wasmlx_runner_policy_...`; what is WASI's keeps its whole name.
    let mut rename = Vec::new();
    let World { imports, exports, .. } = &resolve.worlds[world];
    for interface in imports.keys().chain(exports.keys()) {
        if let WorldKey::Interface(id) = interface
            && let (Some(full), Some(short)) = (resolve.id_of(*id), &resolve.interfaces[*id].name)
            && full.starts_with("wasmlx:runner/")
        {
            rename.push((full, short.replace('-', "_")));
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
    fn every_file_of_the_interfaces_is_here() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("wit");
        let names = |folder: &Path| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
        let there = names(&folder).map(|name| name.into_string().unwrap()).filter(|name| name.ends_with(".wit"));
        let deps = names(&folder.join("deps")).map(|name| format!("deps/{}", name.into_string().unwrap()));
        let mut there: Vec<String> = there.chain(deps).collect();
        let mut here = FILES.iter().chain(&AGENT_FILES).map(|(name, _)| (*name).to_owned()).collect::<Vec<_>>();
        there.sort();
        here.sort();
        assert_eq!(here, there);
    }

    #[test]
    fn only_agents_draw_in_wasi_and_in_javascript_no_http() {
        let all = |language, kind| files(language, kind).into_iter().map(|(_, text)| text).collect::<String>();
        assert!(!all(Language::C, ComponentKind::Chat).contains("wasi:"));
        assert!(all(Language::C, ComponentKind::Agent).contains("import wasi:http/types"));
        let javascript = all(Language::JavaScript, ComponentKind::Agent);
        assert!(javascript.contains("import wasi:filesystem/types") && !javascript.contains("import wasi:http/"));
    }
}
