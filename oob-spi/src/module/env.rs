// SPDX-License-Identifier: GPL-2.0-only

//! What the core needs from the kernel: clock, timers, flags, the queue at the gate.

use crate::bus::Bus;
use crate::env::{Env, MAX_CHIP_SELECTS};
use crate::vtable::Remote;
use core::sync::atomic::{AtomicPtr, Ordering};
use kernel::error::Result;
use kernel::sync::{LockClass, WaitQueue};
use kernel::time::{HardTimer, TimerHandler, sleep_us};
use oob::kernel_core::{Monotonic, TaskFlag};
use oob::stage::{Inband, Oob};
use oob::time::{Clock, Instant, Ns};

pub(super) type CoreBus = Bus<Remote, KernelEnv>;

/// The handler of a bus's timer.
pub(super) struct Tick {
    bus: AtomicPtr<CoreBus>,
    chip_select: u8,
    call: fn(&CoreBus, u8, u64),
}

impl TimerHandler for Tick {
    fn expired(&self, missed: u64) {
        // SAFETY: `KernelEnv::connect` sets it before the timer is first armed, to a bus that its
        // owner does not drop before it has called `KernelEnv::cancel_timers`.
        if let Some(bus) = unsafe { self.bus.load(Ordering::Acquire).as_ref() } {
            (self.call)(bus, self.chip_select, missed);
        }
    }
}

/// The flag and the timers of one chip select.
struct Channel {
    flag: TaskFlag,
    trigger: HardTimer<Tick>,
    watch: HardTimer<Tick>,
}

impl Channel {
    fn new(inband: &Inband<'_>, chip_select: u8) -> Result<Self> {
        let tick = |call| Tick {
            bus: AtomicPtr::new(core::ptr::null_mut()),
            chip_select,
            call,
        };
        Ok(Self {
            flag: TaskFlag::new(inband)?,
            trigger: HardTimer::new(inband, tick(CoreBus::trigger_tick))?,
            watch: HardTimer::new(inband, tick(CoreBus::watchdog_tick))?,
        })
    }

    fn timers(&self) -> [&HardTimer<Tick>; 2] {
        [&self.trigger, &self.watch]
    }
}

/// See the module.
pub(super) struct KernelEnv {
    channels: [Channel; MAX_CHIP_SELECTS],
    /// The senders of in-band messages that wait at the gate.
    pub(super) gate: WaitQueue,
}

impl KernelEnv {
    pub(super) fn new(inband: &Inband<'_>) -> Result<Self> {
        static GATE: LockClass = LockClass::new();
        Ok(Self {
            channels: [
                Channel::new(inband, 0)?,
                Channel::new(inband, 1)?,
                Channel::new(inband, 2)?,
                Channel::new(inband, 3)?,
                Channel::new(inband, 4)?,
                Channel::new(inband, 5)?,
                Channel::new(inband, 6)?,
                Channel::new(inband, 7)?,
            ],
            gate: WaitQueue::new(inband, c"oob_spi gate", &GATE)?,
        })
    }

    /// Has the timers call `bus`, which owns this, and which is at its final address.
    ///
    /// # Safety
    ///
    /// The owner of `bus` calls [`Self::cancel_timers`] before it drops or moves it.
    pub(super) unsafe fn connect(&self, bus: *const CoreBus) {
        for timer in self.timers() {
            timer.handler().bus.store(bus.cast_mut(), Ordering::Release);
        }
    }

    /// Disarms all timers; on return no handler runs.
    pub(super) fn cancel_timers(&self, inband: &Inband<'_>) {
        for timer in self.timers() {
            timer.cancel(inband);
        }
    }

    fn timers(&self) -> impl Iterator<Item = &HardTimer<Tick>> {
        self.channels.iter().flat_map(Channel::timers)
    }

    fn channel(&self, chip_select: u8) -> &Channel {
        // The core passes chip selects that exist. The remainder shows the compiler that the index
        // is in range.
        let index = usize::from(chip_select) % MAX_CHIP_SELECTS;
        let [first, ..] = &self.channels;
        self.channels.get(index).unwrap_or(first)
    }
}

impl Clock for KernelEnv {
    #[inline(always)]
    fn now(&self) -> Instant {
        Monotonic.now()
    }

    #[inline(always)]
    fn ticks(&self) -> u64 {
        Monotonic.ticks()
    }

    fn span(&self, ticks: u64) -> Ns {
        Monotonic.span(ticks)
    }

    fn relax(&self) {
        Monotonic.relax();
    }
}

impl Env for KernelEnv {
    type Flag = TaskFlag;
    type Timer = HardTimer<Tick>;

    fn flag(&self, chip_select: u8) -> &TaskFlag {
        &self.channel(chip_select).flag
    }

    fn trigger_timer(&self, chip_select: u8) -> &HardTimer<Tick> {
        &self.channel(chip_select).trigger
    }

    fn watchdog_timer(&self, chip_select: u8) -> &HardTimer<Tick> {
        &self.channel(chip_select).watch
    }

    fn is_interrupted(&self, _oob: &Oob<'_>) -> bool {
        kernel::task::signal_pending()
    }

    fn nap(&self, inband: &Inband<'_>) {
        sleep_us(inband, 100, 200);
    }

    fn gate_opened(&self, inband: &Inband<'_>) {
        self.gate.wake_all(inband);
    }
}
