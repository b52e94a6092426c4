//! A release folder that runs on a machine without compilers or Python.

use std::path::PathBuf;

use anyhow::Result;

use crate::workspace::Workspace;

pub(crate) fn build(_workspace: &Workspace, _folder: Option<PathBuf>) -> Result<()> {
    Ok(())
}
