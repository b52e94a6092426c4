//! What goes to stdout and stderr: results, JSON, progress, colours.

use std::io::{self, IsTerminal as _, Write};

use anstream::{AutoStream, ColorChoice};
use anstyle::Style;
use serde_json::Value;

use crate::failure::Result;

/// Text that is beside the point: reasoning, statistics.
pub(crate) const DIM: Style = Style::new().dimmed();
/// Text to look at first.
pub(crate) const BOLD: Style = Style::new().bold();

/// The one way to stdout: buffered until a flush, a reader that went away told as
/// [`Failure::ReaderGone`](crate::failure::Failure::ReaderGone). Texts are data and pass as they are, control bytes
/// included; styles are left out where nobody sees them.
pub(crate) struct Output {
    stdout: io::StdoutLock<'static>,
    styles: bool,
}

impl Output {
    pub(crate) fn new() -> Self {
        let stdout = io::stdout();
        Self { styles: AutoStream::choice(&stdout) != ColorChoice::Never, stdout: stdout.lock() }
    }

    /// Writes a text as it is.
    pub(crate) fn text(&mut self, text: &str) -> Result {
        Ok(self.stdout.write_all(text.as_bytes())?)
    }

    /// Writes a text in a style.
    pub(crate) fn styled(&mut self, style: Style, text: &str) -> Result {
        let style = if self.styles { style } else { Style::new() };
        Ok(write!(self.stdout, "{style}{text}{style:#}")?)
    }

    /// Writes a line.
    pub(crate) fn line(&mut self, line: impl std::fmt::Display) -> Result {
        Ok(writeln!(self.stdout, "{line}")?)
    }

    /// Writes a JSON value on a line of its own.
    pub(crate) fn json(&mut self, value: &Value) -> Result {
        self.line(value)?;
        self.flush()
    }

    /// Lets the reader see what was written.
    pub(crate) fn flush(&mut self) -> Result {
        Ok(self.stdout.flush()?)
    }
}

/// Writes a line to stderr. Where stderr is closed nobody wants it.
pub(crate) fn note(line: impl std::fmt::Display) {
    let _ = writeln!(anstream::stderr(), "{line}");
}

/// Writes a line of side matter to stderr, dimmed.
pub(crate) fn aside(line: impl std::fmt::Display) {
    note(format_args!("{DIM}{line}{DIM:#}"));
}

/// A line on the terminal that says how far a slow thing is. It appears where stderr is a terminal, and only once
/// the thing turns out slow, so quick loads leave the screen alone.
pub(crate) struct ProgressLine {
    started: std::time::Instant,
    shown: bool,
    enabled: bool,
}

/// Loads that take less are not announced.
const SLOW: std::time::Duration = std::time::Duration::from_millis(500);

impl ProgressLine {
    pub(crate) fn new(enabled: bool) -> Self {
        Self { started: std::time::Instant::now(), shown: false, enabled: enabled && io::stderr().is_terminal() }
    }

    /// Shows a state, in place of the one before.
    pub(crate) fn update(&mut self, state: impl std::fmt::Display) {
        if self.enabled && self.started.elapsed() >= SLOW {
            self.shown = true;
            let _ = write!(anstream::stderr(), "\r\x1b[2K{DIM}{state}{DIM:#}");
        }
    }
}

impl Drop for ProgressLine {
    fn drop(&mut self) {
        if self.shown {
            let _ = write!(anstream::stderr(), "\r\x1b[2K");
        }
    }
}

/// Bytes for people: `23.3 MB`.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    let mut value = count as f64 / 1000.0;
    if value < 1.0 {
        return format!("{count} B");
    }
    let mut unit = 0;
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn bytes_for_people() {
        let sizes = [0, 999, 1000, 23_285_598, 999_949, 999_950, 1_600_000_000_000];
        let shown: Vec<String> = sizes.into_iter().map(bytes).collect();
        assert_eq!(shown, ["0 B", "999 B", "1.0 kB", "23.3 MB", "999.9 kB", "1.0 MB", "1.6 TB"]);
    }
}
