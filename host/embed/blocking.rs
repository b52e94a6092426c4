//! Work that blocks, waited for without blocking and without any particular async runtime.

use std::pin::Pin;
use std::thread;

use tokio::sync::oneshot;

use super::error::{Error, ErrorKind, Result};

/// Runs `work` on a thread of its own from now on; the future waits for its result.
pub(crate) fn spawn<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Pin<Box<dyn Future<Output = Result<T>> + Send>> {
    let (sender, receiver) = oneshot::channel();
    let spawned = thread::Builder::new().name(name.to_owned()).spawn(move || {
        // Where nobody waits any longer the result is not needed.
        let _ = sender.send(work());
    });
    let name = name.to_owned();
    Box::pin(async move {
        spawned.map_err(|error| Error::new(ErrorKind::Io, format_args!("cannot start the thread {name}: {error}")))?;
        let panicked = |_| Error::new(ErrorKind::Stopped, format_args!("the thread {name} panicked"));
        receiver.await.map_err(panicked)?
    })
}
