//! Processes that are killed at any moment: the store opens after each, nothing that was whole is lost, and the work can
//! be finished.

use std::fs;
use std::hash::{BuildHasher as _, RandomState};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::Home;
use crate::support::ran;

/// How many rounds every run of the tests has, and how many a run of all.
pub(crate) const ROUNDS: usize = 20;
pub(crate) const ALL_ROUNDS: usize = 500;

/// Moments drawn at random, from a seed that is told.
pub(crate) struct Moments(u64);

impl Moments {
    pub(crate) fn new() -> Self {
        let seed = RandomState::new().hash_one("kills") | 1;
        println!("seed {seed}");
        Self(seed)
    }

    /// One within a time, by xorshift.
    pub(crate) fn within(&mut self, time: Duration) -> Duration {
        time.mul_f64(self.below(1 << 20) as f64 / f64::from(1 << 20))
    }

    /// A number below another.
    pub(crate) fn below(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % most
    }
}

/// Starts a command and kills it after a time, as `kill -9` does. Whether it had ended by itself.
pub(crate) fn kill_after(command: &mut Command, time: Duration) -> bool {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts");
    // The moment is what is tried out here.
    thread::sleep(time);
    let ended = child.try_wait().expect("it can be waited for").is_some();
    // One that has just ended cannot be killed.
    let _ = child.kill();
    child.wait().expect("it can be waited for");
    ended
}

/// Asserts that a store opens and is clean, and that it has the models that were whole.
#[track_caller]
pub(crate) fn assert_clean(home: &Home, models: &[&str]) {
    let verified = home.run(&["store", "verify", "--json"]).ok().json();
    assert_eq!(verified["ok"], true, "{verified}");
    let listed = home.run(&["store", "list", "--json"]).ok().json();
    let ready = |name: &str| {
        let is_it = |model: &Value| model["name"] == name && model["state"] == "ready";
        listed.as_array().is_some_and(|models| models.iter().any(is_it))
    };
    for model in models {
        assert!(ready(model), "{model} is not ready: {listed}");
    }
}

/// A model's folder with weights that take some tens of milliseconds. They differ by `seed`.
pub(crate) fn model(folder: &Path, seed: u8) {
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join("config.json"), format!(r#"{{"model_type": "llama", "seed": {seed}}}"#)).unwrap();
    // The first is linked, the others are copied.
    for (name, size) in [("model-1", 24 << 20), ("model-2", 12 << 20), ("model-3", 6 << 20)] {
        let mut bytes = vec![seed; size];
        bytes[..8].copy_from_slice(&2_u64.to_le_bytes());
        bytes[8..10].copy_from_slice(b"{}");
        bytes[10..10 + name.len()].copy_from_slice(name.as_bytes());
        fs::write(folder.join(format!("{name}.safetensors")), bytes).unwrap();
    }
}

/// The time that a command takes undisturbed.
fn timed(command: &mut Command) -> Duration {
    let started = Instant::now();
    ran(command).ok();
    started.elapsed()
}

/// Kills imports, removals and sweeps, one a round.
fn rounds(count: usize) {
    let (home, mut moments) = (Home::new(), Moments::new());
    let (kept, other) = (home.beside("kept"), home.beside("other"));
    model(&kept, 1);
    model(&other, 2);
    let (kept, other) = (kept.to_str().unwrap(), other.to_str().unwrap());
    home.run(&["store", "import", kept]).ok();
    let whole = home.blobs();
    let import = ["store", "import", other];
    let remove = ["store", "rm", "other"];
    let sweep = ["store", "gc", "--unfinished"];
    let times = [&import[..], &remove, &sweep].map(|arguments| timed(&mut home.command(arguments)));

    let mut killed = 0;
    for round in 0..count {
        let which = round % 3;
        let command = match which {
            0 => &import[..],
            1 => {
                home.run(&import).ok();
                &remove
            }
            _ => {
                // Something to sweep: an import that was cut short.
                kill_after(&mut home.command(&import), moments.within(times[0]));
                &sweep
            }
        };
        let ended = kill_after(&mut home.command(command), moments.within(times[which].mul_f64(1.1)));
        killed += usize::from(!ended);
        assert_clean(&home, &["kept"]);
        // The work can be finished.
        match which {
            1 if !ended => {
                let again = home.run(command);
                assert!(again.code == Some(0) || again.stderr.contains("no model 'other'"), "{}", again.stderr);
            }
            1 => {}
            _ => {
                home.run(command).ok();
            }
        }
        assert_clean(&home, if which == 0 { &["kept", "other"] } else { &["kept"] });
        // What is left over then is swept.
        let gone = home.run(&["store", "rm", "other"]);
        assert!(gone.code == Some(0) || gone.stderr.contains("no model 'other'"), "{}", gone.stderr);
        home.run(&sweep).ok();
        assert_eq!(home.blobs(), whole, "round {round}");
    }
    println!("{killed} of {count} were killed before their end");
    assert!(killed * 4 > count, "only {killed} of {count} were killed before their end");
}

#[test]
fn who_is_killed_loses_nothing_that_was_whole() {
    rounds(ROUNDS);
}

#[test]
#[ignore = "takes minutes"]
fn who_is_killed_loses_nothing_that_was_whole_500_times() {
    rounds(ALL_ROUNDS);
}
