//! Who may depend on whom: the one table of it. docs/ARCHITECTURE.md gives the reasons.

use crate::workspace::Package;

/// What each package of the host may name of the workspace's own packages. Guests may name each other, and no package
/// of the host; a test may name those of [`FOR_TESTS`].
const MAY_DEPEND: &[(&str, &[&str])] = &[
    ("mach-sys", &[]),
    ("mlx-sys", &[]),
    ("wasmlx-backend", &[]),
    ("wasmlx-backend-mlx", &["mlx-sys", "wasmlx-backend"]),
    ("wasmlx-store", &[]),
    ("wasmlx-text", &[]),
    ("wasmlx-engine", &["wasmlx-backend", "wasmlx-store", "wasmlx-text"]),
    ("wasmlx-components", &["wasmlx-backend", "wasmlx-engine", "wasmlx-store", "wasmlx-text"]),
    (
        "wasmlx",
        &["wasmlx-backend", "wasmlx-backend-mlx", "wasmlx-components", "wasmlx-engine", "wasmlx-store", "wasmlx-text"],
    ),
    (
        "wasmlx-fuzz",
        &[
            "wasmlx",
            "wasmlx-backend",
            "wasmlx-backend-mlx",
            "wasmlx-components",
            "wasmlx-engine",
            "wasmlx-store",
            "wasmlx-text",
        ],
    ),
    ("xtask", &[]),
];

/// Libraries from outside that one package alone may name, since what they stand for lives there.
const ONE_ROOM: &[(&str, &str)] =
    &[("wasmtime", "wasmlx-components"), ("mlx-rs", "wasmlx-backend-mlx"), ("tokenizers", "wasmlx-text")];

/// Test-only dependencies that any package of the host may have: a fake device, and a hub that misbehaves on command.
const FOR_TESTS: &[&str] = &["wasmlx-backend", "wasmlx-hub-server"];

/// A sentence for each dependency that the table does not allow.
pub(super) fn faults(packages: &[Package]) -> Vec<String> {
    let allowed = |package: &Package| MAY_DEPEND.iter().find(|(name, _)| *name == package.name).map(|(_, list)| *list);
    let mut faults = Vec::new();
    for package in packages {
        let name = &package.name;
        if allowed(package).is_none() && package.folder.components().any(|part| part.as_os_str() == "host") {
            faults.push(format!("{name} is no package that tidy/edges.rs knows: say there what it may depend on"));
        }
        for dependency in &package.dependencies {
            let Some(target) = packages.iter().find(|package| package.name == dependency.name) else {
                if let Some((_, room)) =
                    ONE_ROOM.iter().find(|(library, room)| is_of(&dependency.name, library) && name != room)
                {
                    faults.push(format!("{name} names {}, which belongs to {room} alone", dependency.name));
                }
                continue;
            };
            let may = match allowed(package) {
                Some(list) => {
                    list.contains(&&*target.name) || dependency.only_tests && FOR_TESTS.contains(&&*target.name)
                }
                None => allowed(target).is_none(),
            };
            if !may {
                faults.push(format!("{name} may not depend on {}", target.name));
            }
        }
    }
    faults
}

/// Whether a package is the library or one of its family: `wasmtime-wasi` is of `wasmtime`.
fn is_of(package: &str, library: &str) -> bool {
    package.strip_prefix(library).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::workspace::Dependency;

    fn package(name: &str, folder: &str, dependencies: &[&str]) -> Package {
        let dependencies = dependencies.iter().map(|name| Dependency { name: name.to_string(), only_tests: false });
        Package {
            name: name.to_string(),
            folder: PathBuf::from(folder),
            library_kinds: Vec::new(),
            dependencies: dependencies.collect(),
        }
    }

    #[test]
    fn allowed_edges_are_silent() {
        let packages = [
            package("wasmlx-backend", "/x/host/backend", &["thiserror"]),
            package("wasmlx-engine", "/x/host/engine", &["wasmlx-backend", "serde"]),
            package("chat", "/x/guest-examples/rust/chat", &["shared"]),
            package("shared", "/x/guest-examples/rust/shared", &[]),
        ];
        assert_eq!(faults(&packages), [""; 0]);
    }

    #[test]
    fn an_edge_against_the_flow_is_a_fault() {
        let packages = [
            package("wasmlx-backend", "/x/host/backend", &["wasmlx-engine"]),
            package("wasmlx-engine", "/x/host/engine", &[]),
            package("chat", "/x/guest-examples/rust/chat", &["wasmlx-engine"]),
        ];
        assert_eq!(
            faults(&packages),
            ["wasmlx-backend may not depend on wasmlx-engine", "chat may not depend on wasmlx-engine"]
        );
    }

    #[test]
    fn a_library_has_one_room() {
        let packages = [
            package("wasmlx-components", "/x/host/components", &["wasmtime", "wasmtime-wasi"]),
            package("wasmlx-engine", "/x/host/engine", &["wasmtime-wasi"]),
        ];
        assert_eq!(faults(&packages), ["wasmlx-engine names wasmtime-wasi, which belongs to wasmlx-components alone"]);
    }

    #[test]
    fn tests_may_use_the_fake_backend_and_nothing_more() {
        let mut store = package("wasmlx-store", "/x/host/store", &[]);
        store.dependencies = ["wasmlx-backend", "wasmlx-text"]
            .map(|name| Dependency { name: name.to_string(), only_tests: true })
            .to_vec();
        let others = ["backend", "text"].map(|name| package(&format!("wasmlx-{name}"), "/x/host/y", &[]));
        let packages = [&[store], others.as_slice()].concat();
        assert_eq!(faults(&packages), ["wasmlx-store may not depend on wasmlx-text"]);
    }

    #[test]
    fn a_package_of_the_host_must_be_in_the_table() {
        assert_eq!(faults(&[package("new", "/x/host/new", &[])]).len(), 1);
        assert_eq!(faults(&[package("new", "/x/templates/new", &[])]).len(), 0);
    }
}
