//! What goes to stdout and stderr: results, JSON, progress, colours.

use std::io::{self, IsTerminal as _, Write};

use anstream::{AutoStream, ColorChoice};
use anstyle::Style;
use serde_json::Value;
use wasmlx::MemoryEstimate;

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

    /// Writes rows of cells below headings, columns aligned: those that are `numeric` to the right. No headings where
    /// `quiet`, or where there is no row.
    pub(crate) fn table<const N: usize>(
        &mut self,
        headings: [&str; N],
        numeric: [bool; N],
        rows: &[[String; N]],
        quiet: bool,
    ) -> Result {
        let width = |column: usize| {
            let cells = rows.iter().map(|row| row[column].chars().count());
            cells.chain([headings[column].len()]).max().unwrap_or_default()
        };
        let widths: [usize; N] = std::array::from_fn(width);
        let line = |cells: [&str; N]| {
            let padded: Vec<String> = (0..N)
                .map(|column| match (cells[column], widths[column]) {
                    (cell, width) if numeric[column] => format!("{cell:>width$}"),
                    (cell, width) => format!("{cell:width$}"),
                })
                .collect();
            padded.join("  ").trim_end().to_owned()
        };
        if !quiet && !rows.is_empty() {
            self.styled(DIM, &line(headings))?;
            self.text("\n")?;
        }
        rows.iter().try_for_each(|row| self.line(line(row.each_ref().map(String::as_str))))
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

/// Parameters for people: `596.0 M`, `8.0 B`.
pub(crate) fn parameters(count: u64) -> String {
    match count as f64 {
        few @ ..1e6 => format!("{:.1} k", few / 1e3),
        many @ ..1e9 => format!("{:.1} M", many / 1e6),
        many => format!("{:.1} B", many / 1e9),
    }
}

/// The memory that a model takes here, for people.
pub(crate) fn memory(estimate: &MemoryEstimate) -> String {
    let total = bytes(estimate.total_bytes);
    match estimate.cache_bytes_per_1000_tokens {
        Some(cache) => {
            let (tokens, more) = (count(estimate.context), bytes(cache));
            format!("{total} on this machine with {tokens} tokens, {more} for each 1,000 more")
        }
        None => format!("{total}, at a guess"),
    }
}

/// How many there are of something: `1 file`, `2 files`.
pub(crate) fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// A count for people: `48,210`.
pub(crate) fn count(count: u64) -> String {
    let digits = count.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).unwrap_or_default()).collect();
    groups.join(",")
}

#[cfg(test)]
mod tests {
    use super::{bytes, count, parameters};

    #[test]
    fn counts_for_people() {
        assert_eq!([0, 999, 1000, 48_210, 5_120_000].map(count), ["0", "999", "1,000", "48,210", "5,120,000"]);
        assert_eq!([900, 596_049_920, 8_030_261_248].map(parameters), ["0.9 k", "596.0 M", "8.0 B"]);
    }

    #[test]
    fn bytes_for_people() {
        let sizes = [0, 999, 1000, 23_285_598, 999_949, 999_950, 1_600_000_000_000];
        let shown: Vec<String> = sizes.into_iter().map(bytes).collect();
        assert_eq!(shown, ["0 B", "999 B", "1.0 kB", "23.3 MB", "999.9 kB", "1.0 MB", "1.6 TB"]);
    }
}
