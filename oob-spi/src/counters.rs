// SPDX-License-Identifier: GPL-2.0-only

//! The counters of one chip select, which GET_STATS shows.

use crate::sync::{AtomicU64, Ordering};
use oob::time::Clock;
use oobkit_abi::spi as abi;

/// A counter. Most have one writer at a time, the claim's holder, and are added to without an
/// atomic read-modify-write.
#[derive(Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    #[inline]
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    #[inline]
    fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// Adds `n`; from any context.
    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// Adds one; for the claim's holder only.
    #[inline]
    pub(crate) fn bump(&self) {
        self.set(self.get().wrapping_add(1));
    }

    /// Keeps the higher value; for the claim's holder only.
    #[inline]
    pub(crate) fn raise_to(&self, value: u64) {
        if value > self.get() {
            self.set(value);
        }
    }
}

#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) frames: Counter,
    pub(crate) timeouts: Counter,
    pub(crate) bus_errors: Counter,
    pub(crate) missed: Counter,
    pub(crate) overruns: Counter,
    pub(crate) stops: Counter,
    pub(crate) rejected: Counter,
    /// The longest exchange call, in ticks.
    pub(crate) worst: Counter,
}

impl Counters {
    /// Zeroes all counters but `rejected`, which counts calls outside of oob mode, too. For the
    /// claim's holder, before oob mode is on.
    pub(crate) fn reset(&self) {
        for counter in [
            &self.frames,
            &self.timeouts,
            &self.bus_errors,
            &self.missed,
            &self.overruns,
            &self.stops,
            &self.worst,
        ] {
            counter.set(0);
        }
    }

    pub(crate) fn stats(&self, clock: &impl Clock) -> abi::Stats {
        abi::Stats {
            frames: self.frames.get(),
            timeouts: self.timeouts.get(),
            bus_errors: self.bus_errors.get(),
            missed: self.missed.get(),
            overruns: self.overruns.get(),
            stops: self.stops.get(),
            rejected: self.rejected.get(),
            worst_ns: clock.span(self.worst.get()).0,
        }
    }
}
