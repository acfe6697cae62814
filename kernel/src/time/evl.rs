// SPDX-License-Identifier: GPL-2.0-only

//! EVL's timers.
//!
//! The tick takes a timer off its queue and calls its handler with the interrupts of that processor off throughout, and
//! EVL has no call that waits for a handler. So [`EvlTimer::cancel`] has every processor take an in-band interrupt,
//! which comes after any handler that ran there.

use super::{TimerHandler, monotonic_ns};
use crate::alloc::KBox;
use crate::error::Result;
use crate::inband::Inband;
use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

#[repr(C)]
struct Inner<H> {
    timer: UnsafeCell<MaybeUninit<bindings::evl_timer>>,
    /// How many `cancel` calls are under way: meanwhile a handler does not arm again.
    cancelling: AtomicU32,
    /// The next date, and the period or 0.
    due: AtomicU64,
    period: AtomicU64,
    handler: H,
}

/// A timer on absolute dates whose handler runs out-of-band.
///
/// # Invariants
///
/// The timer is initialised, and its memory stays where it is until it is cancelled for good in `drop`.
pub struct EvlTimer<H: TimerHandler>(KBox<Inner<H>>);

// SAFETY: EVL's timers synchronise themselves; the handler is Sync.
unsafe impl<H: TimerHandler> Sync for EvlTimer<H> {}
// SAFETY: the timer lies in memory of its own.
unsafe impl<H: TimerHandler + Send> Send for EvlTimer<H> {}

impl<H: TimerHandler> EvlTimer<H> {
    /// Allocates.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn new(inband: &Inband<'_>, handler: H) -> Result<Self> {
        let inner = Inner {
            timer: UnsafeCell::new(MaybeUninit::zeroed()),
            cancelling: AtomicU32::new(0),
            due: AtomicU64::new(0),
            period: AtomicU64::new(0),
            handler,
        };
        let inner = KBox::new(inband, inner)?;
        // SAFETY: the memory stays until `drop`; `expire` gets a pointer into an `Inner<H>`.
        unsafe { bindings::evl_init_timer(inner.timer.get().cast(), Some(Self::expire)) };
        Ok(Self(inner))
    }

    /// Arms: first at `first`, then every `period` ns; once only where `period` is 0.
    pub fn start(&self, first: u64, period: u64) {
        if self.0.cancelling.load(Ordering::Acquire) != 0 {
            return;
        }
        // EVL steps through the periods that have passed one by one, with interrupts off: spare it all but the last.
        let past = monotonic_ns().saturating_sub(first);
        let passed = past.checked_div(period).unwrap_or(0).wrapping_mul(period);
        self.0.due.store(first, Ordering::Relaxed);
        self.0.period.store(period, Ordering::Relaxed);
        let first = first.saturating_add(passed).min(i64::MAX as u64);
        // SAFETY: initialised in `new`.
        unsafe { bindings::evl_start_timer(self.0.timer.get().cast(), first, period) };
    }

    fn stop(&self) {
        // SAFETY: initialised in `new`.
        unsafe { bindings::evl_stop_timer(self.0.timer.get().cast()) };
    }

    /// Disarms, and waits until no handler runs any more.
    pub fn cancel(&self, _inband: &Inband<'_>) {
        self.0.cancelling.fetch_add(1, Ordering::SeqCst);
        // The first turn outlasts the handlers that armed again because they had not seen the number; the second, the
        // ones that this brought about.
        for _ in 0..2 {
            self.stop();
            // SAFETY: in-band task context, by the token.
            unsafe { bindings::kick_all_cpus_sync() };
        }
        self.0.cancelling.fetch_sub(1, Ordering::Release);
    }

    /// What the timer calls.
    pub fn handler(&self) -> &H {
        &self.0.handler
    }

    unsafe extern "C" fn expire(timer: *mut bindings::evl_timer) {
        // SAFETY: `timer` is the first field of an `Inner<H>` that lives until the timer is cancelled for good.
        let inner = unsafe { &*timer.cast::<Inner<H>>() };
        let due = inner.due.load(Ordering::Relaxed);
        let period = inner.period.load(Ordering::Relaxed);
        let late = monotonic_ns().saturating_sub(due);
        let missed = late.checked_div(period).unwrap_or(0);
        let steps = missed.saturating_add(1).saturating_mul(period);
        inner
            .due
            .store(due.saturating_add(steps), Ordering::Relaxed);
        inner.handler.expired(missed);
    }
}

impl<H: TimerHandler> Drop for EvlTimer<H> {
    fn drop(&mut self) {
        // SAFETY: in-band, as for every drop of what sleeps.
        self.cancel(&unsafe { Inband::assume() });
    }
}
