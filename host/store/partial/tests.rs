//! Fetching a file in pieces, leaving off and going on.

use std::fs;

use proptest::prelude::*;

use super::journal::Journal;
use super::shared::{JOURNAL_EVERY, SETTLE_EVERY, insert};
use super::*;

fn blobs() -> (tempfile::TempDir, Blobs) {
    let home = tempfile::tempdir().unwrap();
    let blobs = Blobs::new(home.path());
    (home, blobs)
}

fn open(blobs: &Blobs, key: PartialKey, size: usize) -> Partial {
    match Partial::open(blobs, key, size as u64, &|| {}, &Monitor::none()).unwrap() {
        Opened::Partial(partial) => partial,
        Opened::Complete(digest) => panic!("{digest} is there"),
    }
}

const BYTES: &[u8] = b"the bytes of a file";

#[test]
fn what_was_fetched_is_gone_on_with_and_becomes_a_blob() {
    let (_home, blobs) = blobs();
    let key = PartialKey::Sha256(Digest::of(BYTES));
    let partial = open(&blobs, key, BYTES.len());
    assert_eq!(partial.missing(), [Range { start: 0, end: BYTES.len() as u64 }]);
    partial.reset(Some("\"one\"".to_owned())).unwrap();
    partial.write_at(4, &BYTES[4..9]).unwrap();
    drop(partial);

    let partial = open(&blobs, key, BYTES.len());
    assert_eq!((partial.done(), partial.etag().as_deref()), (5, Some("\"one\"")));
    assert_eq!(partial.missing(), [0..4, 9..BYTES.len() as u64]);
    partial.write_at(9, &BYTES[9..]).unwrap();
    partial.write_at(0, &BYTES[..4]).unwrap();
    let digest = partial.finish().unwrap();
    assert_eq!(fs::read(blobs.path(&digest)).unwrap(), BYTES);
    assert_eq!(fs::read_dir(blobs.unfinished()).unwrap().count(), 0);

    let again = Partial::open(&blobs, key, BYTES.len() as u64, &|| {}, &Monitor::none()).unwrap();
    assert!(matches!(again, Opened::Complete(it) if it == digest));
}

#[test]
fn a_small_file_is_known_by_its_git_hash() {
    let (_home, blobs) = blobs();
    let key = PartialKey::Git(GitHash::of(BYTES));
    let partial = open(&blobs, key, BYTES.len());
    partial.write_at(0, BYTES).unwrap();
    assert_eq!(partial.finish().unwrap(), Digest::of(BYTES));
    assert_eq!(complete(&blobs, key, BYTES.len() as u64), Some(Digest::of(BYTES)));
}

#[test]
fn other_bytes_are_refused_and_discarded() {
    let (_home, blobs) = blobs();
    for key in [PartialKey::Sha256(Digest::of(b"other")), PartialKey::Git(GitHash::of(b"other"))] {
        let partial = open(&blobs, key, BYTES.len());
        partial.write_at(0, BYTES).unwrap();
        assert_eq!(partial.finish().unwrap_err().kind(), StoreErrorKind::Corrupt);
        assert_eq!(open(&blobs, key, BYTES.len()).done(), 0);
    }
    assert!(blobs.all().unwrap().is_empty());
}

#[test]
fn a_file_that_is_not_whole_is_no_blob_and_no_more_than_a_file_is_written() {
    let (_home, blobs) = blobs();
    let partial = open(&blobs, PartialKey::Sha256(Digest::of(BYTES)), BYTES.len());
    partial.write_at(0, &BYTES[..3]).unwrap();
    assert_eq!(partial.write_at(3, BYTES).unwrap_err().kind(), StoreErrorKind::Corrupt);
    assert_eq!(partial.write_at(u64::MAX, BYTES).unwrap_err().kind(), StoreErrorKind::Corrupt);
    assert_eq!(partial.finish().unwrap_err().kind(), StoreErrorKind::Corrupt);
    assert!(blobs.all().unwrap().is_empty());
}

#[test]
fn after_a_reset_only_the_new_bytes_count() {
    let (_home, blobs) = blobs();
    let partial = open(&blobs, PartialKey::Sha256(Digest::of(BYTES)), BYTES.len());
    partial.write_at(0, &[0; 19]).unwrap();
    partial.reset(None).unwrap();
    assert_eq!(partial.done(), 0);
    partial.write_at(0, BYTES).unwrap();
    assert_eq!(partial.finish().unwrap(), Digest::of(BYTES));
}

/// Its journal is written and its bytes are brought to the disk while they come.
#[test]
fn a_large_file_comes_in_any_order_and_in_two_sittings() {
    let (_home, blobs) = blobs();
    let bytes: Vec<u8> = (0..SETTLE_EVERY + JOURNAL_EVERY + 1).map(|at| (at >> 12) as u8).collect();
    let key = PartialKey::Sha256(Digest::of(&bytes));
    let pieces: Vec<_> = bytes.chunks(1 << 20).enumerate().rev().collect();
    for (sitting, pieces) in pieces.chunks(40).enumerate() {
        let partial = open(&blobs, key, bytes.len());
        assert_eq!(partial.done() > 0, sitting > 0);
        for (number, piece) in pieces {
            partial.write_at((number << 20) as u64, piece).unwrap();
        }
    }
    let digest = open(&blobs, key, bytes.len()).finish().unwrap();
    assert!(fs::read(blobs.path(&digest)).unwrap() == bytes);
    assert_eq!(fs::read_dir(blobs.unfinished()).unwrap().count(), 0);
}

#[test]
fn what_a_thread_failed_with_is_told_to_who_writes_and_to_who_finishes() {
    let (_home, blobs) = blobs();
    let partial = open(&blobs, PartialKey::Sha256(Digest::of(BYTES)), BYTES.len());
    partial.write_at(0, BYTES).unwrap();
    partial.shared.each(1, |_| Err(io::ErrorKind::StorageFull.into()));
    assert_eq!(partial.write_at(0, BYTES).unwrap_err().kind(), StoreErrorKind::NoSpace);
    assert_eq!(partial.finish().unwrap_err().kind(), StoreErrorKind::NoSpace);
    assert!(blobs.all().unwrap().is_empty());
}

#[cfg(unix)]
#[test]
fn what_a_disk_failed_to_take_has_to_come_anew() {
    let (home, key) = (tempfile::tempdir().unwrap(), PartialKey::Sha256(Digest::of(BYTES)));
    let known = Journal { size: 19, ranges: vec![(0, 5)], ..Journal::default() };
    // A device that cannot be brought to a disk.
    let file = fs::File::open("/dev/null").unwrap();
    let shared = Shared::new(file, 19, key, home.path().join("journal"), known);
    shared.settle().unwrap_err();
    assert_eq!(shared.lock().ranges, []);
}

#[test]
fn a_journal_that_cannot_be_is_not_believed() {
    let (_home, blobs) = blobs();
    let key = PartialKey::Sha256(Digest::of(BYTES));
    let size = BYTES.len();
    let journals = [
        "torn".to_owned(),
        format!(r#"{{"schema": 2, "size": {size}, "ranges": [[0, 5]]}}"#),
        format!(r#"{{"schema": 1, "size": {size}, "ranges": [[0, 20]]}}"#),
        format!(r#"{{"schema": 1, "size": {size}, "ranges": [[5, 9], [0, 5]]}}"#),
        r#"{"schema": 1, "size": 7, "ranges": [[0, 5]]}"#.to_owned(),
    ];
    for journal in journals {
        drop(open(&blobs, key, size));
        fs::write(journal_path(&blobs, key), &journal).unwrap();
        assert_eq!(open(&blobs, key, size).done(), 0, "{journal}");
    }
}

proptest! {
    /// Ranges say of each byte whether it was recorded, and are as few as they can be.
    #[test]
    fn ranges_are_sets_of_bytes(recorded in prop::collection::vec((0_u64..40, 0_u64..9), 0..20)) {
        let mut ranges = Vec::new();
        let mut bytes = [false; 64];
        for (start, length) in recorded {
            insert(&mut ranges, start..start + length);
            bytes[start as usize..(start + length) as usize].fill(true);
        }
        for (at, is_there) in bytes.into_iter().enumerate() {
            prop_assert_eq!(ranges.iter().any(|range| range.contains(&(at as u64))), is_there);
        }
        prop_assert!(ranges.windows(2).all(|pair| pair[0].end < pair[1].start));
    }
}
