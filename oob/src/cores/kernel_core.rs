// SPDX-License-Identifier: GPL-2.0-only

//! The stage as the kit's modules use it: the core that the kernel which is built for has.
//!
//! ```text
//!   kernel_core::{with_oob, TaskFlag, Monitor, ...}   <- cores/evl (CONFIG_EVL) or cores/shim (any other kernel)
//!   kernel_core::Monotonic, HardTimer, IoMem,         <- here, over crate kernel, which chooses clock, timer and queue
//!          Interrupt, Work, Pool, Relay
//! ```
//!
//! The choice is the kernel's configuration alone: the build sets `oob_core_evl` where it has `CONFIG_EVL`.

mod interrupt;
mod pool;
mod relay;
mod work;

pub use interrupt::Interrupt;

#[cfg(oob_core_evl)]
use crate::cores::evl::Waiter;
#[cfg(oob_core_evl)]
pub use crate::cores::evl::{
    Monitor, Mutex, MutexGuard, Running, Semaphore, TaskFlag, Tasks, Thread, with_oob,
};
#[cfg(not(oob_core_evl))]
use crate::cores::shim::Tasks as Waiter;
#[cfg(not(oob_core_evl))]
pub use crate::cores::shim::{
    Monitor, Mutex, MutexGuard, Running, Semaphore, TaskFlag, Tasks, Thread, with_oob,
};
use crate::io::Mmio;
use crate::monitor::{MonitorState, WaitQueue};
use crate::record::Wait;
use crate::stage::{Inband, MayWait};
use crate::time::{Clock, Instant, Ns, Timer};
use crate::wait::WaitError;
use core::ffi::CStr;
use kernel::error::Result;
use kernel::io::{IoMem, dma_observe, dma_publish};
use kernel::sync::{LockClass, RawSpinLock};
use kernel::time::{HardTimer, TimerHandler, cycles, cycles_khz, monotonic_ns};
pub use pool::{Pool, pool};
pub use relay::Relay;
pub use work::Work;

static CLASS: LockClass = LockClass::new();
// One address wherever it is used: lockdep compares that, not the text.
static NAME: &CStr = c"oob monitor";

/// A lock for a monitor or a semaphore to be made of. Allocates.
///
/// # Errors
///
/// `ENOMEM`.
pub fn monitor_lock<T>(inband: &Inband<'_>, value: T) -> Result<RawSpinLock<MonitorState<T>>> {
    RawSpinLock::new(inband, MonitorState::new(value), NAME, &CLASS)
}

impl WaitQueue for Monitor<()> {
    fn wait(
        &self,
        what: Wait,
        stage: &impl MayWait,
        deadline: Instant,
        ready: impl Fn() -> bool,
    ) -> core::result::Result<(), WaitError> {
        let ready = |(): &mut ()| ready().then_some(());
        self.wait_for(what, stage, &Tasks, deadline, ready)
    }

    fn wake_all(&self) {
        self.update_and_wake_all(&Tasks, |()| ());
    }
}

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

impl<H: TimerHandler> Timer for HardTimer<H> {
    fn start(&self, first: Instant, period: Ns) {
        HardTimer::start(self, first.0, period.0);
    }

    fn stop(&self, inband: &Inband<'_>) {
        self.cancel(inband);
    }
}

impl Mmio for IoMem {
    #[inline(always)]
    fn read(&self, offset: usize) -> u32 {
        IoMem::read(self, offset)
    }

    #[inline(always)]
    fn write(&self, offset: usize, value: u32) {
        IoMem::write(self, offset, value);
    }

    #[inline(always)]
    fn publish(&self) {
        dma_publish();
    }

    #[inline(always)]
    fn observe(&self) {
        dma_observe();
    }
}
