//! A machine that is made up: what an agent's variables, clocks and chance are where a run is to come out the same
//! each time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use wasmtime_wasi::WasiCtxBuilder;
use wasmtime_wasi::clocks::{HostMonotonicClock, HostWallClock};
use wasmtime_wasi::random::Deterministic;

/// How much later it is at each look at a clock.
const TICK: Duration = Duration::from_millis(1);

/// How many random bytes there are before they come again, in blocks of a digest.
const RANDOM_BLOCKS: u32 = 128;

/// What takes the place of this machine's environment, clocks and randomness.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// The variables that there are; a component is given those that it asks for and the user granted.
    pub environment: BTreeMap<String, String>,
    /// When the run begins, in seconds since 1970. It is a millisecond later at each look at a clock.
    pub now: u64,
}

impl Surroundings {
    /// Gives an agent this machine's clocks and chance.
    pub(super) fn surround(&self, wasi: &mut WasiCtxBuilder) {
        let clock = Clock { start: Duration::from_secs(self.now), looks: Arc::default() };
        let blocks = (0..RANDOM_BLOCKS).map(|block| Sha256::digest(block.to_le_bytes()));
        let random: Vec<u8> = blocks.flatten().collect();
        wasi.wall_clock(clock.clone())
            .monotonic_clock(clock)
            .secure_random(Deterministic::new(random.clone()))
            .insecure_random(Deterministic::new(random))
            .insecure_random_seed(0);
    }
}

/// Both clocks, which go on as one.
#[derive(Debug, Clone)]
struct Clock {
    start: Duration,
    looks: Arc<AtomicU64>,
}

impl Clock {
    fn since_start(&self) -> Duration {
        let looks = self.looks.fetch_add(1, Ordering::Relaxed);
        TICK.saturating_mul(u32::try_from(looks).unwrap_or(u32::MAX))
    }
}

impl HostWallClock for Clock {
    fn resolution(&self) -> Duration {
        TICK
    }

    fn now(&self) -> Duration {
        self.start.saturating_add(self.since_start())
    }
}

impl HostMonotonicClock for Clock {
    fn resolution(&self) -> u64 {
        nanoseconds(TICK)
    }

    fn now(&self) -> u64 {
        nanoseconds(self.since_start())
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_later_at_each_look_and_the_same_in_each_run() {
        let looks = || {
            let clock = Clock { start: Duration::from_secs(7), looks: Arc::default() };
            [HostWallClock::now(&clock).as_millis(), u128::from(HostMonotonicClock::now(&clock)) / 1_000_000]
        };
        assert_eq!(looks(), [7000, 1]);
        assert_eq!(looks(), looks());
    }
}
