// SPDX-License-Identifier: MIT OR Apache-2.0

//! The cheapest clock that a program can read: the processor's own counter, if there is one.
//!
//! | machine | counter | tick |
//! | --- | --- | --- |
//! | arm64 | CNTVCT_EL0 (Arm ARM, D24.10: generic timer registers) | 1 / CNTFRQ_EL0 |
//! | others | CLOCK_MONOTONIC, which the vDSO reads without a system call | 1 ns |

/// The counter now, in ticks.
#[cfg(target_arch = "aarch64")]
#[inline(always)]
pub(crate) fn now() -> u64 {
    let ticks: u64;
    // SAFETY: Linux lets programs read this counter, and reading it has no effect. The barrier
    // keeps the processor from reading it early.
    unsafe { core::arch::asm!("isb", "mrs {}, cntvct_el0", out(reg) ticks, options(nostack)) };
    ticks
}

/// Ticks per second.
#[cfg(target_arch = "aarch64")]
pub(crate) fn hz() -> u64 {
    let hz: u64;
    // SAFETY: Linux lets programs read this register, which is constant, and reading it has no
    // effect.
    unsafe { core::arch::asm!("mrs {}, cntfrq_el0", out(reg) hz, options(nostack, nomem)) };
    hz
}

/// The counter now, in ticks.
#[cfg(not(target_arch = "aarch64"))]
#[inline(always)]
pub(crate) fn now() -> u64 {
    oobkit::time::Instant::now().as_nanos()
}

/// Ticks per second.
#[cfg(not(target_arch = "aarch64"))]
pub(crate) fn hz() -> u64 {
    1_000_000_000
}

/// Converts ticks to nanoseconds.
pub(crate) fn nanos(ticks: u64) -> u64 {
    let ns = u128::from(ticks) * 1_000_000_000 / u128::from(hz().max(1));
    u64::try_from(ns).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counter_counts_real_time() {
        let begin = now();
        std::thread::sleep(std::time::Duration::from_millis(20));
        let ns = nanos(now() - begin);
        assert!((20_000_000..10_000_000_000).contains(&ns), "{ns}");
    }
}
