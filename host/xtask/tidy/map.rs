//! docs/ARCHITECTURE.md names every package of the workspace, and no other.

use crate::workspace::Package;

/// A sentence for each package that the map's tables lack or name in vain. A table counts if its first column is
/// headed `crate`; each row names one package, in backticks.
pub(super) fn faults(packages: &[Package], map: &str) -> Vec<String> {
    let named = named(map);
    let lacking = packages.iter().filter(|package| !named.contains(&&*package.name));
    let vain = named.iter().filter(|name| packages.iter().all(|package| package.name != **name));
    lacking
        .map(|package| format!("docs/ARCHITECTURE.md: no table of crates names {}", package.name))
        .chain(vain.map(|name| format!("docs/ARCHITECTURE.md: {name} is no crate of the workspace")))
        .collect()
}

fn named(map: &str) -> Vec<&str> {
    let mut named = Vec::new();
    let mut in_table = false;
    for line in map.lines() {
        let Some(first) = line.strip_prefix('|').and_then(|row| row.split('|').next()) else {
            in_table = false;
            continue;
        };
        match first.trim() {
            "crate" => in_table = true,
            cell if in_table => named.extend(cell.strip_prefix('`').and_then(|cell| cell.strip_suffix('`'))),
            _ => {}
        }
    }
    named
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    const MAP: &str = "\
| word | meaning |
|---|---|
| `tokens` | not a crate |

| crate | folder |
|---|---|
| `wasmlx` | here |
| `gone` | nowhere |

`elsewhere` in the text
";

    fn package(name: &str) -> Package {
        Package { name: name.to_string(), folder: PathBuf::new(), library_kinds: Vec::new(), dependencies: Vec::new() }
    }

    #[test]
    fn the_map_and_the_workspace_agree() {
        assert_eq!(faults(&[package("wasmlx"), package("gone")], MAP), [""; 0]);
        assert_eq!(
            faults(&[package("wasmlx"), package("tokens")], MAP),
            [
                "docs/ARCHITECTURE.md: no table of crates names tokens",
                "docs/ARCHITECTURE.md: gone is no crate of the workspace"
            ]
        );
    }
}
