// SPDX-License-Identifier: GPL-2.0-only

//! EVL's timers.
//!
//! EVL's tick takes a timer off its queue and calls its handler, with that processor's interrupts
//! off throughout. EVL has no call that waits for a handler to return. So [`EvlTimer::cancel`]
//! makes every processor take an in-band interrupt: a processor takes it only after a handler that
//! ran there has returned.

use super::clock::monotonic_ns;
use super::handler::TimerHandler;
use crate::alloc::KBox;
use crate::error::Result;
use crate::inband::Inband;
use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

#[repr(C)]
struct Inner<H> {
    timer: UnsafeCell<MaybeUninit<bindings::evl_timer>>,
    /// The number of `cancel` calls under way. While it is not 0, handlers cannot arm the timer.
    cancelling: AtomicU32,
    /// The next date, in ns.
    due: AtomicU64,
    /// In ns; 0 for a timer that expires once.
    period: AtomicU64,
    handler: H,
}

/// A timer on absolute dates. Its handler runs out of band.
///
/// # Invariants
///
/// The timer is initialised, and its memory stays where it is until it is cancelled for good in
/// `drop`.
pub struct EvlTimer<H: TimerHandler>(KBox<Inner<H>>);

// SAFETY: EVL's timer functions serialise their accesses to the timer; the other fields are
// atomics, and the handler is Sync.
unsafe impl<H: TimerHandler> Sync for EvlTimer<H> {}
// SAFETY: the timer lies in a box, so it does not move with this value; the handler is Send.
unsafe impl<H: TimerHandler + Send> Send for EvlTimer<H> {}

impl<H: TimerHandler> EvlTimer<H> {
    /// A disarmed timer. Allocates.
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
        // SAFETY: the box keeps the timer in place until `drop`, and the timer is the first field
        // of an `Inner<H>`, as `expire` needs.
        unsafe { bindings::evl_init_timer(inner.timer.get().cast(), Some(Self::expire)) };
        Ok(Self(inner))
    }

    /// Arms the timer: first at `first`, then every `period` ns. With a `period` of 0 it expires
    /// once.
    pub fn start(&self, first: u64, period: u64) {
        if self.0.cancelling.load(Ordering::Acquire) != 0 {
            return;
        }
        // EVL steps through the periods that have passed one by one, with interrupts off. Start at
        // the last of them.
        let past = monotonic_ns().saturating_sub(first);
        let passed = past.checked_div(period).unwrap_or(0).wrapping_mul(period);
        self.0.due.store(first, Ordering::Relaxed);
        self.0.period.store(period, Ordering::Relaxed);
        let first = first.saturating_add(passed).min(i64::MAX as u64);
        // SAFETY: `new` initialised the timer.
        unsafe { bindings::evl_start_timer(self.0.timer.get().cast(), first, period) };
    }

    fn stop(&self) {
        // SAFETY: `new` initialised the timer.
        unsafe { bindings::evl_stop_timer(self.0.timer.get().cast()) };
    }

    /// Disarms the timer and waits until its handler has returned.
    pub fn cancel(&self, _inband: &Inband<'_>) {
        self.0.cancelling.fetch_add(1, Ordering::SeqCst);
        // A handler that had not seen `cancelling` may still arm the timer: the first turn waits
        // for it. The second turn waits for the expiry that it armed.
        for _ in 0..2 {
            self.stop();
            // SAFETY: the token proves in-band task context with interrupts on, in which one may
            // wait for the other processors.
            unsafe { bindings::kick_all_cpus_sync() };
        }
        self.0.cancelling.fetch_sub(1, Ordering::Release);
    }

    /// The timer's handler.
    pub fn handler(&self) -> &H {
        &self.0.handler
    }

    unsafe extern "C" fn expire(timer: *mut bindings::evl_timer) {
        // SAFETY: `new` set this function up for a timer that is the first field of an `Inner<H>`;
        // the box lives until `drop` has waited for this function.
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
        // SAFETY: timers are dropped in-band, the kit's rule for values whose drop may sleep.
        self.cancel(&unsafe { Inband::assume() });
    }
}
