// SPDX-License-Identifier: GPL-2.0-only

//! Timers: their dates, and the dates that they miss.

use super::support::{Cell, compute};
use crate::services::{Dates, TIMER_DATES};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use kernel::error::{Result, code};
use kernel::time::{HardTimer, TimerHandler};
use kernel::uaccess::UserPtr;
use oob::kernel_core::Monotonic;
use oob::stage::Inband;
use oob::time::{Clock, Instant, Ns};

/// The handler's observations.
struct Seen {
    args: Dates,
    first: u64,
    calls: Cell,
    missed: AtomicU64,
    missed_first: AtomicU64,
    missed_next: AtomicU64,
    /// The number of dates that had passed at the end of the last call.
    passed: AtomicU64,
    astray: AtomicU64,
}

impl Seen {
    /// The number of dates that have passed at `now`.
    fn passed(&self, now: Instant) -> u64 {
        let Ns(since) = now.since(Instant(self.first));
        let dates = since.checked_div(self.args.period_ns).unwrap_or(0);
        dates.wrapping_add(1)
    }
}

impl TimerHandler for Seen {
    fn expired(&self, missed: u64) {
        let now = Monotonic.now();
        let n = self.calls.get().wrapping_add(1);
        let all = self.missed.fetch_add(missed, Relaxed).wrapping_add(missed);
        if n == 1 {
            self.missed_first.store(missed, Relaxed);
        }
        if n == self.args.held.wrapping_add(1) {
            self.missed_next.store(missed, Relaxed);
        }
        let told = all.wrapping_add(n.into());
        // The dates that a call misses by its own lateness may be reported by the next call, but by
        // no later one.
        let is_lost = told < self.passed.load(Relaxed);
        if now.0 < self.first || told > self.passed(now) || is_lost {
            self.astray.fetch_add(1, Relaxed);
        }
        if n == self.args.held {
            compute(Ns(self.args.hold_ns));
        }
        self.passed.store(self.passed(Monotonic.now()), Relaxed);
        self.calls.add();
    }
}

pub(super) fn ioctl(inband: &Inband<'_>, command: u32, argument: UserPtr) -> Result<i32> {
    if command != TIMER_DATES {
        return Err(code::ENOTTY);
    }
    let args: Dates = argument.read(inband)?;
    let first = Monotonic.now().0.saturating_sub(args.ago_ns);
    let seen = Seen {
        args,
        first,
        calls: Cell::default(),
        missed: AtomicU64::new(0),
        missed_first: AtomicU64::new(0),
        missed_next: AtomicU64::new(0),
        passed: AtomicU64::new(0),
        astray: AtomicU64::new(0),
    };
    let timer = HardTimer::new(inband, seen)?;
    let seen = timer.handler();
    timer.start(first, args.period_ns);
    let waited = seen.calls.reaches(inband, args.calls);
    timer.cancel(inband);
    waited?;
    let dates = Dates {
        calls: seen.calls.get(),
        missed: seen.missed.load(Relaxed),
        missed_first: seen.missed_first.load(Relaxed),
        missed_next: seen.missed_next.load(Relaxed),
        astray: seen.astray.load(Relaxed),
        ..args
    };
    argument.write(inband, &dates).map(|()| 0)
}
