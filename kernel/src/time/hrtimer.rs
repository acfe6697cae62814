// SPDX-License-Identifier: GPL-2.0-only

//! Timers over the kernel's hrtimers, in hard mode.

use super::clock::monotonic_ns;
use super::handler::TimerHandler;
use crate::alloc::KBox;
use crate::error::Result;
use crate::inband::Inband;
use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicU64, Ordering};

#[repr(C)]
struct Inner<H> {
    timer: UnsafeCell<MaybeUninit<bindings::hrtimer>>,
    period: AtomicU64,
    /// The count of missed dates that the next call of the handler gets.
    missed: AtomicU64,
    handler: H,
}

/// A timer on absolute dates. It expires in hard interrupt context, on PREEMPT_RT, too.
///
/// # Invariants
///
/// The timer is initialised, and its memory stays where it is until it is cancelled for good in
/// `drop`.
pub struct HrTimer<H: TimerHandler>(KBox<Inner<H>>);

// SAFETY: the hrtimer functions serialise their accesses to the timer; the other fields are
// atomics, and the handler is Sync.
unsafe impl<H: TimerHandler> Sync for HrTimer<H> {}
// SAFETY: the timer lies in a box, so it does not move with this value; the handler is Send.
unsafe impl<H: TimerHandler + Send> Send for HrTimer<H> {}

impl<H: TimerHandler> HrTimer<H> {
    /// A disarmed timer. Allocates.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn new(inband: &Inband<'_>, handler: H) -> Result<Self> {
        let inner = Inner {
            timer: UnsafeCell::new(MaybeUninit::zeroed()),
            period: AtomicU64::new(0),
            missed: AtomicU64::new(0),
            handler,
        };
        let inner = KBox::new(inband, inner)?;
        // SAFETY: the box keeps the timer in place until `drop`, and the timer is the first field
        // of an `Inner<H>`, as `expire` needs.
        unsafe { bindings::hrtimer_setup(inner.timer.get().cast(), Some(Self::expire)) };
        Ok(Self(inner))
    }

    /// Arms the timer: first at `first`, then every `period` ns. A late call does not shift the
    /// later dates. With a `period` of 0 the timer expires once.
    ///
    /// Callers cancel a periodic timer first if it may be expiring on another processor. Otherwise
    /// the new dates hold as well, but the first call may report dates that the former period
    /// missed.
    #[inline]
    pub fn start(&self, first: u64, period: u64) {
        // Dates that have passed already get one call, which reports them as missed.
        let (first, missed) = match period {
            0 => (first, 0),
            _ => {
                let late = monotonic_ns().saturating_sub(first);
                let missed = late.checked_div(period).unwrap_or(0);
                let passed = missed.saturating_mul(period);
                (first.saturating_add(passed), missed)
            }
        };
        self.0.missed.store(missed, Ordering::Relaxed);
        self.0.period.store(period, Ordering::Relaxed);
        // SAFETY: `new` initialised the timer.
        unsafe {
            bindings::hrtimer_start_abs(self.0.timer.get().cast(), first.min(i64::MAX as u64))
        };
    }

    /// Disarms the timer and waits until its handler has returned.
    pub fn cancel(&self, _inband: &Inband<'_>) {
        // SAFETY: the token proves task context, and a caller that may sleep holds no lock that the
        // handler takes.
        unsafe { self.cancel_spinning() };
    }

    /// As [`Self::cancel`], for an out-of-band thread of the shim core, which is a task. Spins
    /// while the handler runs; never sleeps.
    ///
    /// # Safety
    ///
    /// The caller runs in task context and holds no lock that the handler takes.
    #[inline]
    pub unsafe fn cancel_spinning(&self) {
        self.0.period.store(0, Ordering::Relaxed);
        // SAFETY: `new` initialised the timer.
        unsafe { bindings::hrtimer_cancel(self.0.timer.get().cast()) };
    }

    /// The timer's handler.
    #[inline]
    pub fn handler(&self) -> &H {
        &self.0.handler
    }

    unsafe extern "C" fn expire(timer: *mut bindings::hrtimer) -> bindings::hrtimer_restart::Type {
        // SAFETY: `new` set this function up for a timer that is the first field of an `Inner<H>`;
        // the box lives until `drop` has waited for this function.
        let inner = unsafe { &*timer.cast::<Inner<H>>() };
        // Everything that can wait comes after the handler: it would delay the thread that waits
        // for this date.
        inner.handler.expired(inner.missed.load(Ordering::Relaxed));
        match inner.period.load(Ordering::Relaxed) {
            0 => bindings::hrtimer_restart::HRTIMER_NORESTART,
            period => inner.again(period),
        }
    }
}

impl<H: TimerHandler> Inner<H> {
    /// Moves the timer to its next date. Called from the timer's own expiry only. Kept out of line:
    /// the expiry then saves no registers for it before the handler runs.
    #[inline(never)]
    fn again(&self, period: u64) -> bindings::hrtimer_restart::Type {
        // SAFETY: `new` initialised the timer, and this is its own expiry. If another thread has
        // armed the timer meanwhile, the function leaves it alone.
        let passed = unsafe { bindings::hrtimer_forward_now(self.timer.get().cast(), period) };
        if let Some(missed) = passed.checked_sub(1) {
            self.missed.store(missed, Ordering::Relaxed);
        }
        bindings::hrtimer_restart::HRTIMER_RESTART
    }
}

impl<H: TimerHandler> Drop for HrTimer<H> {
    fn drop(&mut self) {
        // SAFETY: timers are dropped in-band (the kit's rule for values whose drop may sleep), with
        // no lock of the handler's held.
        unsafe { self.cancel_spinning() };
    }
}
