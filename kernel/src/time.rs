// SPDX-License-Identifier: GPL-2.0-only

//! Monotonic time and high-resolution timers.

#[cfg(oob_core_evl)]
mod evl;

use crate::alloc::KBox;
use crate::error::Result;
use crate::inband::Inband;
use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicU64, Ordering};

/// `CLOCK_MONOTONIC`, in nanoseconds.
#[cfg(not(oob_core_evl))]
#[inline(always)]
pub fn monotonic_ns() -> u64 {
    // SAFETY: always allowed.
    unsafe { bindings::ktime_get() }.cast_unsigned()
}

/// The processor's own counter, or the clock where that one's rate is not known. Two processors' may differ where the
/// machine is an odd one.
#[inline(always)]
pub fn cycles() -> u64 {
    // SAFETY: always allowed.
    unsafe { bindings::get_cycles() }
}

/// How fast [`cycles`] counts, in kHz.
pub fn cycles_khz() -> u32 {
    // SAFETY: always allowed.
    unsafe { bindings::cycles_khz() }
}

/// `CLOCK_MONOTONIC`, in nanoseconds, without the lock that in-band code may hold when out-of-band code asks.
#[cfg(oob_core_evl)]
#[inline(always)]
pub fn monotonic_ns() -> u64 {
    // SAFETY: always allowed.
    unsafe { bindings::ktime_get_mono_fast_ns() }
}

/// Whether timers expire at their dates, and not at the next tick only. Where they do not, the machine may lack a clock that
/// goes on while interrupts are off, too, so that whoever spins there for a date spins for ever.
pub fn is_high_resolution() -> bool {
    // SAFETY: always allowed.
    unsafe { bindings::hrtimer_resolution() == 1 }
}

/// Sleeps for `min_us` to `max_us`.
pub fn sleep_us(_inband: &Inband<'_>, min_us: u32, max_us: u32) {
    // SAFETY: in-band, by the token.
    unsafe { bindings::usleep_range(min_us.into(), max_us.into()) };
}

/// The timer of the core that the stage is bound to; see [`HrTimer`] for what it promises.
#[cfg(not(oob_core_evl))]
pub type HardTimer<H> = HrTimer<H>;
#[cfg(oob_core_evl)]
pub use oob::EvlTimer as HardTimer;

/// What a timer calls, in hard interrupt context; on EVL in its out-of-band tick. It borrows nothing, as a timer that is
/// forgotten stays armed.
pub trait TimerHandler: Sync + 'static {
    /// The timer has expired. `missed`: how many of its dates have passed without a call of their own and without a call
    /// having been told; so calls and missed dates together are all dates that have passed. Where a call comes a period
    /// late or more, it may be the next one that is told.
    fn expired(&self, missed: u64);
}

#[repr(C)]
struct Inner<H> {
    timer: UnsafeCell<MaybeUninit<bindings::hrtimer>>,
    period: AtomicU64,
    /// What the next call is to be told.
    missed: AtomicU64,
    handler: H,
}

/// A timer on absolute dates that expires in hard interrupt context, on PREEMPT_RT too.
///
/// # Invariants
///
/// The timer is initialised, and its memory stays where it is until it is cancelled for good in `drop`.
pub struct HrTimer<H: TimerHandler>(KBox<Inner<H>>);

// SAFETY: hrtimers synchronise themselves; the handler is Sync.
unsafe impl<H: TimerHandler> Sync for HrTimer<H> {}
// SAFETY: the timer lies in memory of its own.
unsafe impl<H: TimerHandler + Send> Send for HrTimer<H> {}

impl<H: TimerHandler> HrTimer<H> {
    /// Allocates.
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
        // SAFETY: the memory stays until `drop`; `expire` gets a pointer into an `Inner<H>`.
        unsafe { bindings::hrtimer_setup(inner.timer.get().cast(), Some(Self::expire)) };
        Ok(Self(inner))
    }

    /// Arms: first at `first`, then every `period` ns, on these dates however late a call is; once only where `period` is
    /// 0. A periodic timer that may be expiring elsewhere is cancelled first: else the new dates hold as well, but the first
    /// call may be told what was missed of the former ones.
    #[inline]
    pub fn start(&self, first: u64, period: u64) {
        // Dates that have passed already get one call, which is told.
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
        // SAFETY: initialised in `new`.
        unsafe {
            bindings::hrtimer_start_abs(self.0.timer.get().cast(), first.min(i64::MAX as u64))
        };
    }

    /// Disarms, and waits until no handler runs any more.
    pub fn cancel(&self, _inband: &Inband<'_>) {
        // SAFETY: in-band task context, by the token.
        unsafe { self.cancel_spinning() };
    }

    /// The same for what is out-of-band on this core alone: a task, which spins while the handler runs, and never sleeps.
    ///
    /// # Safety
    ///
    /// In task context, with nothing held that the handler takes.
    #[inline]
    pub unsafe fn cancel_spinning(&self) {
        self.0.period.store(0, Ordering::Relaxed);
        // SAFETY: initialised in `new`.
        unsafe { bindings::hrtimer_cancel(self.0.timer.get().cast()) };
    }

    /// What the timer calls.
    #[inline]
    pub fn handler(&self) -> &H {
        &self.0.handler
    }

    unsafe extern "C" fn expire(timer: *mut bindings::hrtimer) -> bindings::hrtimer_restart::Type {
        // SAFETY: `timer` is the first field of an `Inner<H>` that lives until the timer is cancelled for good.
        let inner = unsafe { &*timer.cast::<Inner<H>>() };
        // Nothing comes before the handler that can come after it: whoever waits for the date waits for that, too.
        inner.handler.expired(inner.missed.load(Ordering::Relaxed));
        match inner.period.load(Ordering::Relaxed) {
            0 => bindings::hrtimer_restart::HRTIMER_NORESTART,
            period => inner.again(period),
        }
    }
}

impl<H: TimerHandler> Inner<H> {
    /// By itself, so that no registers are saved for it before the handler runs. In the timer's own expiry only.
    #[inline(never)]
    fn again(&self, period: u64) -> bindings::hrtimer_restart::Type {
        // SAFETY: initialised in `new`, and in its own expiry; it is not moved where somebody has armed it meanwhile.
        let passed = unsafe { bindings::hrtimer_forward_now(self.timer.get().cast(), period) };
        if let Some(missed) = passed.checked_sub(1) {
            self.missed.store(missed, Ordering::Relaxed);
        }
        bindings::hrtimer_restart::HRTIMER_RESTART
    }
}

impl<H: TimerHandler> Drop for HrTimer<H> {
    fn drop(&mut self) {
        // SAFETY: in-band, as for every drop of what sleeps.
        unsafe { self.cancel_spinning() };
    }
}
