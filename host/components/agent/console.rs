//! What an agent says to the user: by `print`, and by what it writes to stdout.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hyper::body::Bytes;
use tokio::io::AsyncWrite;
use tokio::sync::mpsc;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError};

use super::AgentEvent;
use crate::guest_log::{GuestLog, Level};
use crate::{ComponentError, ComponentErrorKind};

/// How many bytes of what is written may wait for a slow reader before the agent has to.
const HELD_BYTES: usize = 64 << 10;

/// The most bytes that become one event. Its text has thrice as many at most, where none of them is UTF-8.
const EVENT_BYTES: usize = 16 << 10;

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
        // A piece at a time: all of it would wait here otherwise, however long it is.
        for piece in text.as_bytes().chunks(EVENT_BYTES) {
            self.lock().extend_from_slice(piece);
            self.send().await?;
        }
        Ok(())
    }

    /// Sends what is left, a character that never became whole too.
    pub(super) async fn finish(&self) {
        // Where the reader is gone, nobody misses it.
        if self.send().await.is_ok() {
            let rest = String::from_utf8_lossy(&std::mem::take(&mut *self.lock())).into_owned();
            let _ = self.print(&rest).await;
        }
    }

    /// Takes bytes in, and sends what can be sent without waiting.
    fn hold(&self, bytes: &[u8]) {
        let mut held = self.lock();
        held.extend_from_slice(bytes);
        while is_ready(&held) {
            // What has no place waits; a reader that is gone misses nothing.
            let Ok(place) = self.events.try_reserve() else { return };
            place.send(Ok(AgentEvent::Output(take_text(&mut held))));
        }
    }

    /// Waits until the reader's queue has all that is held, but for a character that is not whole.
    async fn send(&self) -> Result<(), ComponentError> {
        while is_ready(&self.lock()) {
            self.drain().await?;
        }
        Ok(())
    }

    /// Waits for a place, and sends some of what there is.
    async fn drain(&self) -> Result<(), ComponentError> {
        let gone = |_| ComponentError::new(ComponentErrorKind::Cancelled, "", "nobody reads what the agent says");
        let place = self.events.reserve().await.map_err(gone)?;
        let mut held = self.lock();
        if is_ready(&held) {
            place.send(Ok(AgentEvent::Output(take_text(&mut held))));
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

/// Whether some bytes begin with text, not with a character that may become whole: their first four tell, which no
/// character is longer than.
fn is_ready(bytes: &[u8]) -> bool {
    text_length(&bytes[..bytes.len().min(char::MAX.len_utf8())]) > 0
}

/// Takes an event's text from the beginning of some bytes. What is no UTF-8 is a replacement character.
fn take_text(bytes: &mut Vec<u8>) -> String {
    let length = text_length(bytes);
    let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
    bytes.drain(..length);
    text
}

/// How many of some bytes are an event's text: all that it may have, but for a character at their end that may become
/// whole.
fn text_length(bytes: &[u8]) -> usize {
    let bytes = &bytes[..bytes.len().min(EVENT_BYTES)];
    let end = bytes.utf8_chunks().last().map_or(&[][..], |chunk| chunk.invalid());
    let is_half = std::str::from_utf8(end).is_err_and(|error| error.error_len().is_none());
    bytes.len() - if is_half { end.len() } else { 0 }
}

/// That a guest writes no more than it was permitted to. It need not have asked.
fn check_permit(permit: usize, bytes: &[u8]) -> Result<(), StreamError> {
    if bytes.len() <= permit {
        return Ok(());
    }
    let message = format!("it wrote {} bytes where `check-write` permits {permit}", bytes.len());
    Err(StreamError::trap(&message))
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
        check_permit(self.check_write()?, &bytes)?;
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
        check_permit(self.check_write()?, &bytes)?;
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
    use std::pin::pin;
    use std::task::{Context, Waker};

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
                    assert!(part.len() <= 3 * EVENT_BYTES, "an event of {} bytes", part.len());
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
        // A half one that others follow is wrong for good; one that an event's end divides is whole in the next.
        assert_eq!(
            read(async |console| console.write(Bytes::from_static(b"\xe2\x82a\xe2\x82\xffb")).unwrap()),
            "\u{fffd}a\u{fffd}\u{fffd}b"
        );
        let text = "€".repeat(EVENT_BYTES);
        assert_eq!(read(async |console| console.print(&text).await.unwrap()), text);
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
        assert_eq!(written, EVENT_BYTES + HELD_BYTES, "one event under way, the rest held");
        drop(reader);
        assert!(matches!(console.check_write(), Err(StreamError::Closed)));
    }

    #[test]
    fn what_is_printed_waits_in_the_guest() {
        let (events, _reader) = mpsc::channel(1);
        let console = Console::new(events);
        let text = "\u{1f600}".repeat(1 << 20);
        let mut print = pin!(console.print(&text));
        assert!(print.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        assert!(console.lock().len() <= EVENT_BYTES, "{} bytes are held", console.lock().len());
    }

    #[test]
    fn nobody_writes_more_than_is_permitted() {
        let (events, _reader) = mpsc::channel(1);
        let mut console = Console::new(events);
        let room = console.check_write().unwrap();
        let refused = console.write(Bytes::from(vec![b'x'; room + 1]));
        assert!(matches!(refused, Err(StreamError::Trap(_))), "{refused:?}");
        assert!(console.lock().is_empty());
        console.write(Bytes::from(vec![b'x'; room])).unwrap();
    }
}
