//! What an agent says to the user: by `print`, and by what it writes to stdout.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hyper::body::Bytes;
use tokio::io::AsyncWrite;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError};

use super::AgentEvent;
use crate::guest_log::{GuestLog, Level};
use crate::{ComponentError, ComponentErrorKind};

/// How many bytes may wait for a slow reader before the agent has to.
const HELD_BYTES: usize = 64 << 10;

/// Where events go.
pub(super) type Events = mpsc::Sender<Result<AgentEvent, ComponentError>>;

/// The agent's console. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Console {
    events: Events,
    /// What no event has taken yet: the reader is slow, or a character is not whole.
    held: Arc<Mutex<Vec<u8>>>,
}

impl Console {
    pub(super) fn new(events: Events) -> Self {
        Self { events, held: Arc::default() }
    }

    /// Shows some text; returns when the reader's queue has it.
    ///
    /// # Errors
    /// [`ComponentErrorKind::Cancelled`] where the reader is gone.
    pub(crate) async fn print(&self, text: &str) -> Result<(), ComponentError> {
        self.lock().extend_from_slice(text.as_bytes());
        while first_text(&self.lock()).is_some() {
            self.drain().await?;
        }
        Ok(())
    }

    /// Sends what is left, a character that never became whole too.
    pub(super) async fn finish(&self) {
        // Where the reader is gone, nobody misses it.
        if self.print("").await.is_ok() {
            let rest = String::from_utf8_lossy(&std::mem::take(&mut *self.lock())).into_owned();
            let _ = self.print(&rest).await;
        }
    }

    /// Takes bytes in, and sends what can be sent without waiting.
    fn hold(&self, bytes: &[u8]) {
        let mut held = self.lock();
        held.extend_from_slice(bytes);
        while let Some((text, length)) = first_text(&held) {
            match self.events.try_send(Ok(AgentEvent::Output(text))) {
                Ok(()) | Err(TrySendError::Closed(_)) => drop(held.drain(..length)),
                Err(TrySendError::Full(_)) => return,
            }
        }
    }

    /// Waits for a place, and sends some of what there is.
    async fn drain(&self) -> Result<(), ComponentError> {
        let gone = |_| ComponentError::new(ComponentErrorKind::Cancelled, "", "nobody reads what the agent says");
        let place = self.events.reserve().await.map_err(gone)?;
        let mut held = self.lock();
        if let Some((text, length)) = first_text(&held) {
            held.drain(..length);
            place.send(Ok(AgentEvent::Output(text)));
        }
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.lock().len() >= HELD_BYTES
    }

    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        // Each use leaves a whole list behind, even where it panics.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The text that some bytes begin with, and how many bytes it is of; none where that is a character that may become
/// whole. What is no UTF-8 is a replacement character.
fn first_text(bytes: &[u8]) -> Option<(String, usize)> {
    let error = match std::str::from_utf8(bytes) {
        Ok("") => return None,
        Ok(text) => return Some((text.to_owned(), bytes.len())),
        Err(error) => error,
    };
    match (error.valid_up_to(), error.error_len()) {
        (0, None) => None,
        (valid, None) => Some((String::from_utf8_lossy(&bytes[..valid]).into_owned(), valid)),
        (valid, Some(wrong)) => {
            let length = valid + wrong;
            Some((String::from_utf8_lossy(&bytes[..length]).into_owned(), length))
        }
    }
}

impl StdoutStream for Console {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        // Of WASI 0.2 only the stream below is used.
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl IsTerminal for Console {
    fn is_terminal(&self) -> bool {
        false
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Console {
    async fn ready(&mut self) {
        // A reader that is gone takes everything.
        while self.is_full() && self.drain().await.is_ok() {}
    }
}

impl OutputStream for Console {
    fn write(&mut self, bytes: Bytes) -> Result<(), StreamError> {
        self.hold(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), StreamError> {
        Ok(())
    }

    fn check_write(&mut self) -> Result<usize, StreamError> {
        if self.events.is_closed() {
            return Err(StreamError::Closed);
        }
        Ok(HELD_BYTES.saturating_sub(self.lock().len()))
    }
}

/// Where what an agent writes to stderr goes: its log, a line at a time.
#[derive(Clone)]
pub(super) struct Stderr {
    log: GuestLog,
    /// The line that has no end yet.
    line: Arc<Mutex<Vec<u8>>>,
}

/// The most bytes of a line.
const LINE_BYTES: usize = 2 << 10;

impl Stderr {
    pub(super) fn new(log: &GuestLog) -> Self {
        Self { log: log.clone(), line: Arc::default() }
    }

    fn take(&self, bytes: &[u8]) {
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        for &byte in bytes {
            if byte != b'\n' {
                line.push(byte);
            }
            if byte == b'\n' || line.len() == LINE_BYTES {
                self.log(&std::mem::take(&mut *line));
            }
        }
    }

    fn log(&self, line: &[u8]) {
        if !line.is_empty() && self.log.wants(Level::Info) {
            self.log.write(Level::Info, &String::from_utf8_lossy(line));
        }
    }
}

impl Drop for Stderr {
    fn drop(&mut self) {
        // The last of the clones has what was never ended.
        if let Some(line) = Arc::get_mut(&mut self.line) {
            let line = std::mem::take(line.get_mut().unwrap_or_else(PoisonError::into_inner));
            self.log(&line);
        }
    }
}

impl StdoutStream for Stderr {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl IsTerminal for Stderr {
    fn is_terminal(&self) -> bool {
        false
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Stderr {
    async fn ready(&mut self) {}
}

impl OutputStream for Stderr {
    fn write(&mut self, bytes: Bytes) -> Result<(), StreamError> {
        self.take(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), StreamError> {
        Ok(())
    }

    fn check_write(&mut self) -> Result<usize, StreamError> {
        Ok(LINE_BYTES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All that a reader gets while `say` says it.
    fn read(say: impl AsyncFnOnce(&mut Console)) -> String {
        let tokio = tokio::runtime::Builder::new_current_thread().build().unwrap();
        tokio.block_on(async {
            // One event at a time, so that the reader is always slower.
            let (events, mut reader) = mpsc::channel(1);
            let mut console = Console::new(events);
            let speaker = async move {
                say(&mut console).await;
                console.finish().await;
            };
            let listener = async {
                let mut text = String::new();
                while let Some(event) = reader.recv().await {
                    let Ok(AgentEvent::Output(part)) = event else { panic!("{event:?}") };
                    text.push_str(&part);
                }
                text
            };
            tokio::join!(speaker, listener).1
        })
    }

    #[test]
    fn a_character_is_whole_however_it_is_written() {
        let text = "aä€😀b";
        let heard = read(async |console| {
            for byte in text.bytes() {
                console.ready().await;
                console.write(Bytes::copy_from_slice(&[byte])).unwrap();
            }
        });
        assert_eq!(heard, text);
        assert_eq!(
            read(async |console| console.write(Bytes::from_static(b"a\xffb\xe2\x82")).unwrap()),
            "a\u{fffd}b\u{fffd}"
        );
    }

    #[test]
    fn both_ways_keep_their_order() {
        let heard = read(async |console| {
            console.print("1").await.unwrap();
            console.write(Bytes::from_static(b"2")).unwrap();
            console.print("3").await.unwrap();
        });
        assert_eq!(heard, "123");
    }

    #[test]
    fn what_waits_for_a_slow_reader_is_bounded() {
        let (events, reader) = mpsc::channel(1);
        let mut console = Console::new(events);
        let mut written = 0;
        while let Ok(room @ 1..) = console.check_write() {
            console.write(Bytes::from(vec![b'x'; room])).unwrap();
            written += room;
        }
        assert_eq!(written, 2 * HELD_BYTES, "one event under way, as much held");
        drop(reader);
        assert!(matches!(console.check_write(), Err(StreamError::Closed)));
    }
}
