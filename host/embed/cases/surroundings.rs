//! What an agent finds in the world outside when its case runs: folders, notes and variables that the case names,
//! made for the run and gone after it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Component as PathPart, Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use wasmlx_components::{Component, ComponentError, Grant, GrantedFolder, Grants, Space, Spaces, Surroundings};

use super::case_host::now;
use super::{Case, field};

/// Texts by their names, in folders or spaces by theirs.
pub(super) type Texts = BTreeMap<String, BTreeMap<String, String>>;

/// The world outside of one run.
pub(super) struct World {
    folder: TemporaryFolder,
    spaces: Spaces,
    /// The names of the folders that may be written, and of the spaces.
    writable: Vec<String>,
    kept: Vec<String>,
    pub(super) grants: Grants,
    pub(super) surroundings: Surroundings,
}

impl World {
    /// What a case gives its agent: `read` and `write` folders with their files, `kv` spaces with their values, `env`
    /// variables, `now` in seconds since 1970, `store` whether it may look into the
    /// store, and where the run is recorded the `http` hosts that it may reach.
    pub(super) fn of(component: &Component, case: &Case) -> Result<Self, String> {
        let told = |error: io::Error| format!("cannot prepare its folders: {error}");
        let folder = TemporaryFolder::new().map_err(told)?;
        let (read, write): (Texts, Texts) = (texts(case, "read")?, texts(case, "write")?);
        let kept = texts(case, "kv")?;
        let environment: BTreeMap<String, String> = field(case, "env")?.unwrap_or_default();
        let mut grants = Grants::none();
        for (granted, folders) in [("read", &read), ("write", &write)] {
            for (name, files) in folders {
                let folder = folder.path().join(granted).join(plain(name)?);
                fs::create_dir_all(&folder).map_err(told)?;
                for (file, text) in files {
                    let file = folder.join(plain(file)?);
                    fs::create_dir_all(file.parent().unwrap_or(&folder)).map_err(told)?;
                    fs::write(file, text).map_err(told)?;
                }
                let folder = GrantedFolder { name: name.clone(), folder };
                grants.extend([if granted == "read" { Grant::Read(folder) } else { Grant::Write(folder) }]);
            }
        }
        let spaces = Spaces::new(Some(&folder.path().join("kv")), component.name());
        for (name, values) in &kept {
            let set = |space: Space| values.iter().try_for_each(|(key, value)| space.set(key, value.as_bytes()));
            spaces.open(name).and_then(set).map_err(|error| format!("`kv`: {error}"))?;
            grants.extend([Grant::KeyValue(name.clone())]);
        }
        grants.extend(environment.keys().cloned().map(Grant::Environment));
        if field::<bool>(case, "store")?.unwrap_or_default() {
            grants.extend([Grant::Store]);
        }
        for host in field::<Vec<String>>(case, "http")?.unwrap_or_default() {
            grants.extend([Grant::Http(host.parse().map_err(|why| format!("`http`: {why}"))?)]);
        }
        Ok(Self {
            folder,
            spaces,
            writable: write.into_keys().collect(),
            kept: kept.into_keys().collect(),
            grants,
            surroundings: Surroundings { environment, now: now(case)? },
        })
    }

    /// Where the key-value spaces are.
    pub(super) fn key_value(&self) -> PathBuf {
        self.folder.path().join("kv")
    }

    /// What the folders that may be written hold now.
    pub(super) fn written(&self) -> Result<Texts, String> {
        let told = |error: io::Error| format!("cannot read its folders: {error}");
        let folder = |name: &String| {
            let mut files = BTreeMap::new();
            read_folder(&self.folder.path().join("write").join(name), "", &mut files).map_err(told)?;
            Ok((name.clone(), files))
        };
        self.writable.iter().map(folder).collect()
    }

    /// What the key-value spaces hold now.
    pub(super) fn kept(&self) -> Result<Texts, String> {
        let told = |error: ComponentError| error.to_string();
        let mut kept = Texts::new();
        for name in &self.kept {
            let space = self.spaces.open(name).map_err(told)?;
            let mut values = BTreeMap::new();
            for key in space.keys().map_err(told)? {
                let value = space.get(&key).map_err(told)?.unwrap_or_default();
                values.insert(key, String::from_utf8_lossy(&value).into_owned());
            }
            kept.insert(name.clone(), values);
        }
        Ok(kept)
    }
}

pub(super) fn texts(case: &Case, name: &str) -> Result<Texts, String> {
    Ok(field(case, name)?.unwrap_or_default())
}

/// A path of a case, which leads to nothing outside of its folder.
fn plain(path: &str) -> Result<&Path, String> {
    let is_plain = !path.is_empty() && Path::new(path).components().all(|part| matches!(part, PathPart::Normal(_)));
    if is_plain { Ok(Path::new(path)) } else { Err(format!("`{path}` is no plain relative path")) }
}

/// Adds the texts of a folder's files to `files`, by their paths within. A link is not followed: it is the agent's.
fn read_folder(folder: &Path, within: &str, files: &mut BTreeMap<String, String>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = format!("{within}{}", entry.file_name().to_string_lossy());
        let kind = entry.file_type()?;
        if kind.is_dir() {
            read_folder(&entry.path(), &format!("{name}/"), files)?;
        } else if kind.is_file() {
            files.insert(name, String::from_utf8_lossy(&fs::read(entry.path())?).into_owned());
        } else {
            files.insert(name, "(no file)".to_owned());
        }
    }
    Ok(())
}

/// A folder that is gone when this is.
struct TemporaryFolder(PathBuf);

impl TemporaryFolder {
    fn new() -> io::Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        loop {
            let count = COUNT.fetch_add(1, Ordering::Relaxed);
            let path = std::env::temp_dir().join(format!("wasmlx-case-{}-{count}", std::process::id()));
            // One that is there already is another's.
            match fs::create_dir(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                made => return made.map(|()| Self(path)),
            }
        }
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        // What cannot be removed is left to whoever cleans the system's folder for such.
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_names_no_path_outside_of_its_folder() {
        assert!(plain("notes/a.txt").is_ok());
        for path in ["", "/a", "../a", "a/../../b", "./a/.."] {
            assert!(plain(path).is_err(), "{path}");
        }
    }

    #[test]
    fn a_temporary_folder_is_anothers_no_more_than_once() {
        let (one, other) = (TemporaryFolder::new().unwrap(), TemporaryFolder::new().unwrap());
        assert_ne!(one.path(), other.path());
        let path = one.path().to_owned();
        fs::write(path.join("a"), "").unwrap();
        drop(one);
        assert!(!path.exists() && other.path().exists());
    }
}
