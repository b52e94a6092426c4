//! Serves a folder as a hub, for trying clients by hand: `hub-server FOLDER [--port N] [--throttle BYTES]`.
//!
//! Repositories are the folders `FOLDER/NAMESPACE/NAME`. Then, for example,
//! `HF_ENDPOINT=http://127.0.0.1:8080 hf download NAMESPACE/NAME`.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use wasmlx_hub_server::{HubServer, Repository};

const USAGE: &str = "usage: hub-server FOLDER [--port N] [--throttle BYTES-A-SECOND]";

fn main() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn serve() -> Result<(), Box<dyn Error>> {
    let (mut folder, mut port, mut throttle) = (None, 8080, 0);
    let mut arguments = std::env::args_os().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number = || arguments.next().and_then(|text| text.into_string().ok()).ok_or(USAGE);
        match argument.to_str() {
            Some("--port") => port = number()?.parse()?,
            Some("--throttle") => throttle = number()?.parse()?,
            _ if folder.is_none() => folder = Some(PathBuf::from(argument)),
            _ => return Err(USAGE.into()),
        }
    }
    let folder = folder.ok_or(USAGE)?;
    let server = HubServer::start_at(port)?;
    server.throttle(throttle);
    for owner in folders(&folder)? {
        for model in folders(&owner)? {
            let id = model.strip_prefix(&folder)?.to_string_lossy().replace('\\', "/");
            println!("{id}");
            server.add(Repository::from_folder(&id, &model)?);
        }
    }
    println!("serving on {}", server.url());
    server.join();
    Ok(())
}

/// The folders in a folder, sorted.
fn folders(folder: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut folders = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            folders.push(path);
        }
    }
    folders.sort();
    Ok(folders)
}
