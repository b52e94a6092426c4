//! A component's case files. They may be anyone's, and are read by the host.

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use wasmlx::{ErrorKind, Host};

static PLACE: LazyLock<(Host, tempfile::TempDir)> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    (Host::builder().home(folder.path().join("home")).build().unwrap(), folder)
});

/// The first byte says which component's cases they are.
pub(super) fn run(bytes: &[u8]) {
    let Some((first, text)) = bytes.split_first() else { return };
    let (host, folder) = &*PLACE;
    let (component, file) = [
        ("default-policy", "fuzzed.json"),
        ("mirostat", "fuzzed.json"),
        ("chatml", "fuzzed.json"),
        ("chat", "fuzzed.json"),
        ("chat", "fuzzed.cassette.json"),
    ][usize::from(*first) % 5];
    let cases: PathBuf = folder.path().join("cases");
    // The last one's file may have another name.
    let _ = fs::remove_dir_all(&cases);
    fs::create_dir_all(&cases).unwrap();
    fs::write(cases.join(file), text).unwrap();
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    match tokio.block_on(host.test_component(component, cases)) {
        Ok(report) => assert_eq!(report.passed() + report.failed(), report.cases.len()),
        Err(error) => assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}"),
    }
}
