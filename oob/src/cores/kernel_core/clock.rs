// SPDX-License-Identifier: GPL-2.0-only

//! The kernel's clock.

use crate::time::{Clock, Instant, Ns};
use kernel::time::{cycles, cycles_khz, monotonic_ns};

/// `CLOCK_MONOTONIC`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Monotonic;

impl Clock for Monotonic {
    #[inline(always)]
    fn now(&self) -> Instant {
        Instant(monotonic_ns())
    }

    #[inline(always)]
    fn ticks(&self) -> u64 {
        cycles()
    }

    fn span(&self, ticks: u64) -> Ns {
        let scaled = u128::from(ticks).saturating_mul(1_000_000);
        let ns = scaled.checked_div(cycles_khz().into()).unwrap_or(0);
        Ns(u64::try_from(ns).unwrap_or(u64::MAX))
    }

    fn relax(&self) {
        core::hint::spin_loop();
    }
}
