// SPDX-License-Identifier: GPL-2.0-only

//! Timers: their dates, and those that they miss.

use super::support::{Cell, compute, inband};
use crate::services::{Dates, TIMER_DATES};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use evl::kcore::Monotonic;
use evl::time::{Clock, Ns};
use kernel::error::{Result, code};
use kernel::time::{HardTimer, TimerHandler};
use kernel::uaccess::UserPtr;

/// What the handler sees.
struct Seen {
    args: Dates,
    first: u64,
    calls: Cell,
    missed: AtomicU64,
    missed_first: AtomicU64,
    missed_next: AtomicU64,
    behind: AtomicU64,
    astray: AtomicU64,
}

/// In how many calls in a row a date may be untold. The clock is read after the timer has looked at it, so that one more
/// may have passed; what is lost stays untold.
const BEHIND_MAX: u64 = 3;

impl TimerHandler for Seen {
    fn expired(&self, missed: u64) {
        let now = Monotonic.now().0;
        let n = self.calls.get().wrapping_add(1);
        let all = self.missed.fetch_add(missed, Relaxed).wrapping_add(missed);
        if n == 1 {
            self.missed_first.store(missed, Relaxed);
        }
        if n == self.args.held.wrapping_add(1) {
            self.missed_next.store(missed, Relaxed);
        }
        let since = now.saturating_sub(self.first);
        let dates = since.checked_div(self.args.period_ns).unwrap_or(0);
        let told = all.wrapping_add(n.into());
        let passed = dates.wrapping_add(1);
        let behind = match told < passed {
            true => self.behind.fetch_add(1, Relaxed).wrapping_add(1),
            false => self.behind.swap(0, Relaxed),
        };
        let is_lost = told < passed && behind >= BEHIND_MAX;
        if now < self.first || told > passed || is_lost {
            self.astray.fetch_add(1, Relaxed);
        }
        if n == self.args.held {
            compute(Ns(self.args.hold_ns));
        }
        self.calls.add();
    }
}

pub(super) fn ioctl(command: u32, argument: UserPtr) -> Result<i32> {
    if command != TIMER_DATES {
        return Err(code::ENOTTY);
    }
    let args: Dates = argument.read()?;
    let first = Monotonic.now().0.saturating_sub(args.ago_ns);
    let timer = HardTimer::new(Seen {
        args,
        first,
        calls: Cell::default(),
        missed: AtomicU64::new(0),
        missed_first: AtomicU64::new(0),
        missed_next: AtomicU64::new(0),
        behind: AtomicU64::new(0),
        astray: AtomicU64::new(0),
    })?;
    let seen = timer.handler();
    timer.start(first, args.period_ns);
    let waited = seen.calls.reaches(&inband(), args.calls);
    timer.cancel();
    waited?;
    argument.write(&Dates {
        calls: seen.calls.get(),
        missed: seen.missed.load(Relaxed),
        missed_first: seen.missed_first.load(Relaxed),
        missed_next: seen.missed_next.load(Relaxed),
        astray: seen.astray.load(Relaxed),
        ..args
    })?;
    Ok(0)
}
