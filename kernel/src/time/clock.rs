// SPDX-License-Identifier: GPL-2.0-only

//! The kernel's monotonic clock, the processor's cycle counter, and sleeping.

use crate::inband::Inband;

/// `CLOCK_MONOTONIC`, in nanoseconds.
#[cfg(not(oob_core_evl))]
#[inline(always)]
pub fn monotonic_ns() -> u64 {
    // SAFETY: the function may be called in any context and takes no pointer.
    unsafe { bindings::ktime_get() }.cast_unsigned()
}

/// `CLOCK_MONOTONIC`, in nanoseconds. Takes no lock: interrupted in-band code may hold the clock's
/// lock.
#[cfg(oob_core_evl)]
#[inline(always)]
pub fn monotonic_ns() -> u64 {
    // SAFETY: the function may be called in any context, NMIs included, and takes no pointer.
    unsafe { bindings::ktime_get_mono_fast_ns() }
}

/// The processor's cycle counter, or the clock where the counter's rate is unknown. On unusual
/// machines the counters of two processors may differ.
#[inline(always)]
pub fn cycles() -> u64 {
    // SAFETY: reads a register of this processor; allowed in any context.
    unsafe { bindings::get_cycles() }
}

/// How fast [`cycles`] counts, in kHz.
pub fn cycles_khz() -> u32 {
    // SAFETY: reads a constant of the running kernel.
    unsafe { bindings::cycles_khz() }
}

/// Whether timers expire at their dates and not only at the next tick.
///
/// If they do not, the machine may also lack a clock that runs on while interrupts are off. A
/// caller that spins there until a date would then spin for ever.
pub fn is_high_resolution() -> bool {
    // SAFETY: reads a variable that the kernel sets while it switches to high resolution.
    unsafe { bindings::hrtimer_resolution() == 1 }
}

/// Sleeps for `min_us` to `max_us`.
pub fn sleep_us(_inband: &Inband<'_>, min_us: u32, max_us: u32) {
    // SAFETY: the token proves that the caller may sleep.
    unsafe { bindings::usleep_range(min_us.into(), max_us.into()) };
}
