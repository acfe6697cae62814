// SPDX-License-Identifier: MIT OR Apache-2.0

//! The monotonic clock: dates as 64-bit nanoseconds, and sleeping until a date.

use crate::evl;
use rustix::io::Errno;
use rustix::thread::clock_nanosleep_absolute;
use rustix::time::{ClockId, Timespec, clock_gettime};
use std::time::Duration;

const NS_PER_S: u64 = 1_000_000_000;

/// A date on `CLOCK_MONOTONIC`, in nanoseconds. The drivers use the same clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// The date now.
    pub fn now() -> Self {
        let now = clock_gettime(ClockId::Monotonic);
        // The monotonic clock starts near zero at boot, so both parts are non-negative, and 64 bits
        // last for 584 years.
        let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
        let nanos = u64::try_from(now.tv_nsec).unwrap_or(0);
        Self(seconds.saturating_mul(NS_PER_S).saturating_add(nanos))
    }

    /// The date `ns` nanoseconds after the clock's start.
    pub const fn from_nanos(ns: u64) -> Self {
        Self(ns)
    }

    /// Nanoseconds since the clock's start.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The date `span` later, or the last possible date if that does not fit.
    pub fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(nanos(span)))
    }

    /// The span from `earlier` to this date, or zero if `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// A span in nanoseconds, or the longest possible one if it does not fit.
pub(crate) fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// Sleeps until `date`. Returns at once if the date has passed. Signals do not end the sleep.
///
/// A thread that is attached to EVL sleeps out-of-band.
pub fn sleep_until(date: Instant) {
    if evl::sleep_until(date.0) {
        return;
    }
    let date = Timespec {
        tv_sec: i64::try_from(date.0 / NS_PER_S).unwrap_or(i64::MAX),
        tv_nsec: i64::try_from(date.0 % NS_PER_S).unwrap_or(0),
    };
    // The date is valid, so the call can only fail because of a signal.
    while clock_nanosleep_absolute(ClockId::Monotonic, &date) == Err(Errno::INTR) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_stops_at_the_ends() {
        let last = Instant::from_nanos(u64::MAX);
        assert_eq!(last.after(Duration::from_secs(1)), last);
        assert_eq!(Instant::from_nanos(5).after(Duration::MAX), last);
        assert_eq!(
            Instant::from_nanos(5).since(Instant::from_nanos(9)),
            Duration::ZERO
        );
    }

    #[test]
    fn a_sleep_does_not_end_before_its_date() {
        let date = Instant::now().after(Duration::from_millis(3));
        sleep_until(date);
        assert!(Instant::now() >= date);
        let before = Instant::now();
        sleep_until(Instant::from_nanos(1));
        assert!(Instant::now().since(before) < Duration::from_secs(10));
    }
}
