//! The two functions of `mach-sys` that mlx-rs calls, from the standard library's clock.
//!
//! mlx-rs seeds its random state with `mach_time::mach_approximate_time`; the published crate declares Mach's own
//! symbols, which only Apple's platforms have. A patch holds on every platform, so this one serves them too.

pub mod mach_time {
    //! `mach/mach_time.h`.

    use std::time::{SystemTime, UNIX_EPOCH};

    /// Ticks of a clock of unspecified unit and start: here nanoseconds since 1970, so that two processes differ.
    ///
    /// # Safety
    /// Always safe; `unsafe` because the function it stands for is a foreign one.
    pub unsafe fn mach_absolute_time() -> u64 {
        // Truncation is harmless: the count of nanoseconds fits 64 bits until the year 2554.
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_nanos() as u64)
    }

    /// The same; Mach's is a cheaper and coarser reading.
    ///
    /// # Safety
    /// Always safe; `unsafe` because the function it stands for is a foreign one.
    pub unsafe fn mach_approximate_time() -> u64 {
        // SAFETY: `mach_absolute_time` has no precondition.
        unsafe { mach_absolute_time() }
    }
}
