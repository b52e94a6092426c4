//! Files in granted folders, which the agent finds among its preopens.

use asking::bindings::wasmlx::runner::types::Error;

use crate::bindings::wasi::filesystem::preopens::get_directories;
use crate::bindings::wasi::filesystem::types::{Descriptor, DescriptorFlags, ErrorCode, OpenFlags, PathFlags};
use crate::bindings::wasi::io::streams::StreamError;
use crate::bindings::wasmlx::runner::console::print;

/// Bytes read or written at once.
const CHUNK: usize = 4096;

pub(crate) fn read(path: &str) -> Result<(), Error> {
    let file = open(path, OpenFlags::empty(), DescriptorFlags::READ)?;
    let stream = file.read_via_stream(0).map_err(|code| failed(path, code))?;
    let mut bytes = Vec::new();
    loop {
        match stream.blocking_read(CHUNK as u64) {
            Ok(chunk) => bytes.extend(chunk),
            Err(StreamError::Closed) => return print(&String::from_utf8_lossy(&bytes)),
            Err(StreamError::LastOperationFailed(error)) => {
                return Err(Error::NotFound(format!("cannot read {path}: {}", error.to_debug_string())));
            }
        }
    }
}

pub(crate) fn write(path: &str, text: &str) -> Result<(), Error> {
    let file = open(path, OpenFlags::CREATE | OpenFlags::TRUNCATE, DescriptorFlags::WRITE)?;
    let stream = file.write_via_stream(0).map_err(|code| failed(path, code))?;
    for chunk in text.as_bytes().chunks(CHUNK) {
        stream
            .blocking_write_and_flush(chunk)
            .map_err(|error| Error::InvalidInput(format!("cannot write {path}: {error:?}")))?;
    }
    Ok(())
}

/// Opens a file by the granted folder that its path begins with. Links within a folder are followed; one that leads
/// out of it is the host's to refuse.
fn open(path: &str, how: OpenFlags, rights: DescriptorFlags) -> Result<Descriptor, Error> {
    let folders = get_directories();
    let granted = folders.iter().find_map(|(folder, name)| {
        let within = if name == "." { path } else { path.strip_prefix(name.as_str())?.strip_prefix('/')? };
        Some((folder, within))
    });
    let Some((folder, within)) = granted else {
        return Err(Error::Denied(format!("no granted folder has {path}: --grant 'read=FOLDER'?")));
    };
    folder.open_at(PathFlags::SYMLINK_FOLLOW, within, how, rights).map_err(|code| failed(path, code))
}

fn failed(path: &str, code: ErrorCode) -> Error {
    let message = format!("cannot open {path}: {code:?}");
    match code {
        ErrorCode::NotPermitted | ErrorCode::Access | ErrorCode::ReadOnly => Error::Denied(message),
        _ => Error::NotFound(message),
    }
}
