// SPDX-License-Identifier: GPL-2.0-only

//! Dates in core clocks. Every duration in SPI0 and the DMA controller is a whole number of core
//! clocks.

use oob::time::{Instant, Ns};

/// A date in core clocks since the board's reset.
pub(crate) type Tick = u64;

/// A date that is never reached.
pub(crate) const NEVER: Tick = Tick::MAX;

/// Converts dates to core clocks and back, exactly for more than a year.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CoreClock {
    mhz: u64,
    epoch: Instant,
}

impl CoreClock {
    pub(crate) const fn new(mhz: u32, epoch: Instant) -> Self {
        let mhz = if mhz == 0 { 1 } else { mhz as u64 };
        Self { mhz, epoch }
    }

    /// The last core clock at or before `date`.
    pub(crate) const fn tick(&self, date: Instant) -> Tick {
        date.since(self.epoch).0.saturating_mul(self.mhz) / 1_000
    }

    /// The first nanosecond at or after `tick`, so that `tick(date(t)) >= t`.
    pub(crate) fn date(&self, tick: Tick) -> Instant {
        self.epoch.after(self.span(tick))
    }

    /// The time of `ticks` core clocks, rounded up to nanoseconds.
    pub(crate) fn span(&self, ticks: Tick) -> Ns {
        Ns(ticks
            .saturating_mul(1_000)
            .checked_add(self.mhz.saturating_sub(1))
            .and_then(|scaled| scaled.checked_div(self.mhz))
            .unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_never_before_its_tick() {
        for mhz in [1, 250, 333, 400, 500] {
            let clock = CoreClock::new(mhz, Instant(1_000));
            for tick in 0..5_000 {
                let date = clock.date(tick);
                assert!(clock.tick(date) >= tick);
                assert!(tick == 0 || clock.tick(Instant(date.0 - 1)) < tick);
            }
        }
    }
}
