// SPDX-License-Identifier: MIT OR Apache-2.0

//! The dates of a loop. Period `n` begins at `first + n / rate`. Each date is computed from `n`, so
//! rounding errors do not add up.

use oobkit::time::Instant;
use std::time::Duration;

const NS_PER_S: u64 = 1_000_000_000;

/// A loop's dates.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schedule {
    first: Instant,
    rate_hz: u64,
}

impl Schedule {
    /// Periods at `rate_hz` (at least 1). The first one begins at `first`.
    pub(crate) fn new(first: Instant, rate_hz: u64) -> Self {
        Self {
            first,
            rate_hz: rate_hz.max(1),
        }
    }

    /// The time from the start of the loop to the start of period `n`.
    pub(crate) fn offset(&self, n: u64) -> Duration {
        let ns = u128::from(n) * u128::from(NS_PER_S) / u128::from(self.rate_hz);
        Duration::from_nanos(u64::try_from(ns).unwrap_or(u64::MAX))
    }

    /// The date at which period `n` begins.
    pub(crate) fn date(&self, n: u64) -> Instant {
        self.first.after(self.offset(n))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_do_not_drift_at_a_rate_that_does_not_divide_a_second() {
        let schedule = Schedule::new(Instant::from_nanos(7), 15_000);
        assert_eq!(schedule.date(0).as_nanos(), 7);
        assert_eq!(schedule.date(1).as_nanos(), 7 + 66_666);
        assert_eq!(schedule.date(3).as_nanos(), 7 + 200_000);
        assert_eq!(
            schedule.date(15_000 * 3_600 * 24 * 365).as_nanos(),
            7 + 3_600 * 24 * 365 * NS_PER_S
        );
    }

    #[test]
    fn dates_saturate_instead_of_wrapping() {
        let schedule = Schedule::new(Instant::from_nanos(u64::MAX - 5), 1);
        assert_eq!(schedule.date(9).as_nanos(), u64::MAX);
        assert_eq!(
            Schedule::new(Instant::from_nanos(0), 0).date(2).as_nanos(),
            2 * NS_PER_S
        );
    }
}
