//! Looking whether every byte of the store is what it was when it came.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::digest::Hasher;
use crate::files::{io_error, is_same_file, make_folder, sync_folder};
use crate::hashing::{Stopped, hash, in_parallel};
use crate::{Digest, Manifest, Meter, Monitor, Source, Stage, Store, StoreError};

/// What verifying came to.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Verified {
    /// Blobs that were hashed.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Models whose files were looked for.
    pub models: usize,
    /// What is wrong; nothing in a store that is clean.
    pub faults: Vec<Fault>,
}

/// Something that is wrong in the store.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Fault {
    /// What it is, in which file, and what to do.
    pub message: String,
    /// The blob that it is about.
    pub digest: Option<Digest>,
    /// The models that it takes out of use.
    pub models: Vec<String>,
    /// Where the blob was put, so that it is fetched anew.
    pub moved_to: Option<PathBuf>,
}

/// What refers to a blob.
#[derive(Default)]
struct Use {
    size: Option<u64>,
    /// Models, each with a path of the blob in it.
    models: Vec<(String, String)>,
    /// Whether all of them come from a hub.
    can_be_pulled: bool,
}

/// What is wrong with a blob.
enum Wrong {
    Missing,
    /// The file that was looked at, and what it has. It is kept open, so that no other can pass for it.
    Size(File, u64),
    Bytes(File, Digest),
    /// It is what its name says, and not what a manifest says.
    Manifest(u64),
    Unreadable(StoreError),
}

impl Store {
    /// Hashes all blobs, on all cores, and looks whether the models have their files. It goes on past what is wrong. A
    /// blob that has other bytes than its name says is put aside, to `blobs/corrupt`, unless the store is read-only:
    /// then pulling or importing the model again brings it anew.
    ///
    /// # Errors
    /// [`StoreErrorKind::Cancelled`](crate::StoreErrorKind::Cancelled); [`StoreErrorKind::Io`](crate::StoreErrorKind::Io)
    /// where a folder cannot be read. What is wrong with the store is no error, but told.
    pub fn verify(&self, monitor: &Monitor<'_>) -> Result<Verified, StoreError> {
        let mut verified = Verified::default();
        let mut blobs = self.what_to_verify(&mut verified)?;
        // The largest first, so that no core is left with one at the end.
        blobs.sort_by_key(|blob| std::cmp::Reverse(blob.on_disk));
        verified.files = blobs.iter().filter(|blob| blob.on_disk.is_some()).count();
        verified.bytes = blobs.iter().filter_map(|blob| blob.on_disk).fold(0, u64::saturating_add);
        let meter = Meter::new(*monitor, Stage::Verifying, "the store", 0, verified.bytes);
        let looked_at = in_parallel(&blobs, |blob| self.look_at(blob, &meter));
        meter.finish();
        for (blob, wrong) in blobs.iter().zip(looked_at) {
            if let Some(wrong) = wrong? {
                verified.faults.push(self.fault(blob, &wrong));
            }
        }
        Ok(verified)
    }

    /// The blobs that there are or should be. Manifests that cannot be read are faults already.
    fn what_to_verify(&self, verified: &mut Verified) -> Result<Vec<Blob>, StoreError> {
        let _store_lock = self.lock_to_read()?;
        let mut uses: BTreeMap<Digest, Use> = BTreeMap::new();
        for (name, manifest) in self.manifests()? {
            match manifest {
                Ok(manifest) => {
                    verified.models += 1;
                    note_uses(&manifest, &mut uses);
                }
                Err(error) => verified.faults.push(Fault::of_model(name.to_string(), &error)),
            }
        }
        for name in self.intent_names()? {
            if let Err(error) = self.intent(&name) {
                verified.faults.push(Fault::of_model(name.to_string(), &error));
            }
        }
        for (digest, _) in self.blobs().all()? {
            uses.entry(digest).or_default();
        }
        let size = |digest: &Digest| fs::metadata(self.blobs().path(digest)).ok().map(|file| file.len());
        Ok(uses.into_iter().map(|(digest, used)| Blob { on_disk: size(&digest), digest, used }).collect())
    }

    /// What is wrong with a blob, if anything.
    fn look_at(&self, blob: &Blob, meter: &Meter<'_>) -> Result<Option<Wrong>, StoreError> {
        let path = self.blobs().path(&blob.digest);
        let opened = match File::open(&path) {
            Ok(opened) => opened,
            Err(_) if !path.exists() => return Ok(self.is_missed(blob)?.then_some(Wrong::Missing)),
            Err(error) => return Ok(Some(Wrong::Unreadable(io_error("read", &path, &error)))),
        };
        let (mut hasher, mut size) = (Hasher::new(), 0);
        let hashed = hash(&opened, &mut hasher, |bytes| {
            size += bytes.len() as u64;
            meter.add(bytes.len() as u64)
        });
        match hashed {
            Ok(()) => {}
            Err(Stopped::Told(error)) => return Err(error),
            Err(Stopped::Read(error)) => return Ok(Some(Wrong::Unreadable(io_error("read", &path, &error)))),
        }
        let (digest, _) = hasher.finish();
        let has_other_size = blob.used.size.is_some_and(|wanted| wanted != size);
        Ok(match (digest == blob.digest, has_other_size) {
            (true, false) => None,
            (true, true) => Some(Wrong::Manifest(size)),
            (false, true) => Some(Wrong::Size(opened, size)),
            (false, false) => Some(Wrong::Bytes(opened, digest)),
        })
    }

    /// Whether a model needs a blob that is not there: somebody may have removed it meanwhile with the models that it
    /// was of, and may have brought it anew.
    fn is_missed(&self, blob: &Blob) -> Result<bool, StoreError> {
        let _store_lock = self.lock_to_read()?;
        if self.blobs().path(&blob.digest).exists() {
            return Ok(false);
        }
        let needs = |manifest: Manifest| manifest.files.iter().any(|file| file.sha256 == blob.digest);
        Ok(self.manifests()?.into_iter().any(|(_, manifest)| manifest.is_ok_and(needs)))
    }

    fn fault(&self, blob: &Blob, wrong: &Wrong) -> Fault {
        let path = self.blobs().path(&blob.digest);
        let file = path.display();
        let what = match wrong {
            Wrong::Missing => format!("{file} is missing"),
            Wrong::Size(_, size) | Wrong::Manifest(size) => {
                let wanted = blob.used.size.unwrap_or_default();
                format!("{file} has {size} bytes and should have {wanted}")
            }
            Wrong::Bytes(_, digest) => format!("{file} has other bytes than its name says, of SHA-256 {digest}"),
            Wrong::Unreadable(error) => error.to_string(),
        };
        let moved_to = match wrong {
            Wrong::Size(opened, _) | Wrong::Bytes(opened, _) => self.put_aside(&blob.digest, &path, opened),
            _ => None,
        };
        let models: Vec<String> = blob.used.models.iter().map(|(name, _)| name.clone()).collect();
        let whose = blob.used.models.iter().map(|(name, path)| format!("{path} of {name}")).collect::<Vec<_>>();
        let to_do = match (&models[..], wrong) {
            (_, Wrong::Unreadable(_)) => "see what the disk has; the file is left where it is".to_owned(),
            ([], _) => "no model needs it".to_owned(),
            ([name, ..], _) if blob.used.can_be_pulled => format!("`wasmlx pull {name}` fetches it again"),
            ([name, ..], _) => format!("import {name} again"),
        };
        let whose = if whose.is_empty() { String::new() } else { format!(" ({})", whose.join(", ")) };
        let aside = if moved_to.is_some() { ", and was put aside" } else { "" };
        Fault { message: format!("{what}{whose}{aside}; {to_do}"), digest: Some(blob.digest), models, moved_to }
    }

    /// Puts a blob where nobody takes it for what it should be. None where that is not possible, or where somebody has
    /// brought it anew meanwhile: then it is only told.
    fn put_aside(&self, digest: &Digest, path: &Path, opened: &File) -> Option<PathBuf> {
        let _store_lock = self.lock_to_write().ok()?;
        if !is_same_file(&fs::metadata(path).ok()?, &opened.metadata().ok()?) {
            return None;
        }
        let folder = self.blobs().corrupt();
        make_folder(&folder).ok()?;
        let aside = folder.join(format!("sha256-{digest}"));
        fs::rename(path, &aside).ok()?;
        sync_folder(self.blobs().folder()).ok()?;
        Some(aside)
    }
}

/// A blob that is, or should be, in the store.
struct Blob {
    digest: Digest,
    /// None where it is not there.
    on_disk: Option<u64>,
    used: Use,
}

impl Fault {
    fn of_model(name: String, error: &StoreError) -> Self {
        Self { message: error.to_string(), digest: None, models: vec![name], moved_to: None }
    }
}

fn note_uses(manifest: &Manifest, uses: &mut BTreeMap<Digest, Use>) {
    let comes_from_hub = matches!(manifest.source, Source::Hub { .. });
    for file in &manifest.files {
        let first = !uses.contains_key(&file.sha256);
        let used = uses.entry(file.sha256).or_default();
        used.size = Some(file.size);
        used.can_be_pulled = comes_from_hub && (first || used.can_be_pulled);
        used.models.push((manifest.name.to_string(), file.path.clone()));
    }
}
