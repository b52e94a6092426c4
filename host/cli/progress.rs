//! Bars on the terminal for long work with files: one line for each piece of it that is under way.

use std::collections::HashMap;
use std::io::IsTerminal as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use wasmlx::{Progress, Stage};

use crate::GlobalOptions;
use crate::output::bytes;

/// The bars of a command. They are drawn on stderr where that is a terminal that knows escape codes, and gone with the
/// value. There is no colour in them.
pub(crate) struct Bars {
    screen: MultiProgress,
    bars: Mutex<HashMap<(Stage, String), ProgressBar>>,
}

impl Bars {
    pub(crate) fn new(global: &GlobalOptions) -> Self {
        let hidden = global.quiet || global.json || crate::is_dumb_terminal() || !std::io::stderr().is_terminal();
        let target = if hidden { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr_with_hz(10) };
        Self { screen: MultiProgress::with_draw_target(target), bars: Mutex::default() }
    }

    /// Shows how far a piece of work is; one that is done disappears.
    pub(crate) fn update(&self, progress: &Progress) {
        if self.screen.is_hidden() {
            return;
        }
        let key = (progress.stage, progress.what.clone());
        let mut bars = self.bars.lock().unwrap_or_else(PoisonError::into_inner);
        if progress.stage == Stage::Waiting {
            let bar =
                bars.entry(key).or_insert_with(|| self.screen.add(ProgressBar::no_length().with_style(waiting())));
            bar.set_message(format!("{}: another process works at it; waiting", progress.what));
            bar.tick();
            return;
        }
        if let Some(waited) = bars.remove(&(Stage::Waiting, progress.what.clone())) {
            waited.finish_and_clear();
        }
        if progress.is_last() {
            if let Some(done) = bars.remove(&key) {
                done.finish_and_clear();
            }
            return;
        }
        let bar =
            bars.entry(key).or_insert_with(|| self.screen.add(ProgressBar::new(progress.total).with_style(style())));
        bar.set_prefix(shortened(&progress.what));
        bar.set_message(state(progress));
        bar.set_length(progress.total);
        bar.set_position(progress.done);
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        // Where the terminal is gone nobody sees them.
        let _ = self.screen.clear();
    }
}

fn style() -> ProgressStyle {
    let style = ProgressStyle::with_template("{prefix:32} [{bar:24}] {msg}");
    style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> ")
}

fn waiting() -> ProgressStyle {
    ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// `1.2 of 4.3 GB, 210.0 MB/s, 15 s left`.
fn state(progress: &Progress) -> String {
    let mut state = format!("{} of {}", bytes(progress.done), bytes(progress.total));
    if let Some(rate) = progress.rate {
        state.push_str(&format!(", {}/s", bytes(rate as u64)));
    }
    if let Some(remaining) = progress.remaining {
        state.push_str(&format!(", {} left", time(remaining)));
    }
    state
}

/// A time for people: `15 s`, `3 min`, `2 h 5 min`.
fn time(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..60 => format!("{} s", seconds + 1),
        seconds @ 60..3600 => format!("{} min", seconds.div_ceil(60)),
        seconds => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// The end of a long name, which tells more than its beginning.
fn shortened(name: &str) -> String {
    const MOST: usize = 32;
    let count = name.chars().count();
    if count <= MOST {
        return name.to_owned();
    }
    let end: String = name.chars().skip(count + 1 - MOST).collect();
    format!("…{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_says_how_far_how_fast_and_how_long() {
        let mut progress = Progress {
            stage: Stage::Fetching,
            what: "model.safetensors".to_owned(),
            done: 1_200_000_000,
            total: 4_300_000_000,
            rate: Some(210e6),
            remaining: Some(Duration::from_millis(14_762)),
        };
        assert_eq!(state(&progress), "1.2 GB of 4.3 GB, 210.0 MB/s, 15 s left");
        (progress.rate, progress.remaining) = (None, None);
        assert_eq!(state(&progress), "1.2 GB of 4.3 GB");
        let times = [61, 3599, 7500].map(|seconds| time(Duration::from_secs(seconds)));
        assert_eq!(times, ["2 min", "60 min", "2 h 5 min"]);
    }

    #[test]
    fn of_a_long_name_the_end_is_shown() {
        let name = "a-folder-with-a-long-name/model-00001-of-00002.safetensors";
        assert_eq!(shortened(name), "…odel-00001-of-00002.safetensors");
        assert_eq!(shortened(name).chars().count(), 32);
    }
}
