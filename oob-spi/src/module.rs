// SPDX-License-Identifier: GPL-2.0-only

//! `oob_spi.ko`: the kernel edge.
//!
//! ```text
//!  file.rs     /dev/oob/spidev<bus>.<cs>: system calls           buffers.rs  frame memory and its mappings
//!  module.rs   a registered bus: core, timers, gate queue, nodes       exports.rs  what controllers' modules call
//! ```
//!
//! - One [`Shared`] a bus, owned by its registration, every open file and nobody else; so a file that outlives the
//!   controller still has something to answer `ENODEV` from.
//! - `Shared::inband` is the mutex that the core's first rule asks for. User memory is never touched under it: a page
//!   fault takes the memory map's lock, under which `mmap` takes this one.

mod buffers;
mod exports;
mod file;

use crate::bus::{Bus, Env, MAX_CHIP_SELECTS};
use crate::validate::Settings;
use crate::vtable::Remote;
use buffers::Buffers;
use core::ffi::c_uint;
use core::fmt::Write;
use core::sync::atomic::{AtomicPtr, Ordering};
use file::SpiFile;
use kernel::alloc::{KArc, KBox};
use kernel::bindings as b;
use kernel::error::{Result, code};
use kernel::miscdevice;
use kernel::sync::{LockClass, Mutex, WaitQueue};
use kernel::time::{HardTimer, TimerHandler, sleep_us};
use oob::kernel_core::{Monotonic, TaskFlag};
use oob::stage::{Inband, Oob};
use oob::time::{Clock, Instant, Ns};

unsafe extern "C" {
    static oobkit_spi_inband_wait_ms: c_uint;
    static oobkit_spi_enable_wait_ms: c_uint;
}

/// What a bus's timers call.
struct Tick {
    bus: AtomicPtr<Shared>,
    chip_select: u8,
    call: fn(&CoreBus, u8, u64),
}

impl TimerHandler for Tick {
    fn expired(&self, missed: u64) {
        // SAFETY: set before the timer is first armed, and `Shared` cancels its timers before it goes.
        if let Some(shared) = unsafe { self.bus.load(Ordering::Acquire).as_ref() } {
            (self.call)(&shared.bus, self.chip_select, missed);
        }
    }
}

type CoreBus = Bus<Remote, KernelEnv>;

/// One chip select's waiting and timers.
struct Line {
    flag: TaskFlag,
    trigger: HardTimer<Tick>,
    watch: HardTimer<Tick>,
}

impl Line {
    fn new(inband: &Inband<'_>, chip_select: u8) -> Result<Self> {
        let tick = |call| Tick {
            bus: AtomicPtr::new(core::ptr::null_mut()),
            chip_select,
            call,
        };
        Ok(Self {
            flag: TaskFlag::new(inband)?,
            trigger: HardTimer::new(inband, tick(CoreBus::trigger_tick))?,
            watch: HardTimer::new(inband, tick(CoreBus::watch_tick))?,
        })
    }

    fn timers(&self) -> [&HardTimer<Tick>; 2] {
        [&self.trigger, &self.watch]
    }
}

/// What the core needs from the kernel.
struct KernelEnv {
    lines: [Line; MAX_CHIP_SELECTS],
    gate: WaitQueue,
}

impl KernelEnv {
    fn line(&self, chip_select: u8) -> &Line {
        // The core asks for chip selects that there are; a mask stands for the proof.
        let index = usize::from(chip_select) % MAX_CHIP_SELECTS;
        let [first, ..] = &self.lines;
        self.lines.get(index).unwrap_or(first)
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
        &self.line(chip_select).flag
    }

    fn trigger_timer(&self, chip_select: u8) -> &HardTimer<Tick> {
        &self.line(chip_select).trigger
    }

    fn watch_timer(&self, chip_select: u8) -> &HardTimer<Tick> {
        &self.line(chip_select).watch
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

/// What in-band calls change, one at a time.
struct InbandState {
    settings: [Settings; MAX_CHIP_SELECTS],
    sessions: Sessions,
    buffers: Buffers,
}

/// FrameKind stay in oob mode is on, for each chip select: numbers from 1 on, 0 for none.
#[derive(Default)]
struct Sessions {
    latest: u64,
    on: [u64; MAX_CHIP_SELECTS],
}

impl Sessions {
    fn begin(&mut self, chip_select: u8) -> u64 {
        self.latest = self.latest.wrapping_add(1).max(1);
        self.set(chip_select, self.latest);
        self.latest
    }

    fn end(&mut self, chip_select: u8) {
        self.set(chip_select, 0);
    }

    fn set(&mut self, chip_select: u8, session: u64) {
        if let Some(on) = self.on.get_mut(usize::from(chip_select)) {
            *on = session;
        }
    }

    fn is_on(&self, chip_select: u8, session: u64) -> bool {
        session != 0 && self.on.get(usize::from(chip_select)) == Some(&session)
    }
}

/// A bus, alive as long as its registration or any of its files.
struct Shared {
    bus: CoreBus,
    inband: Mutex<InbandState>,
}

impl Shared {
    /// In a frame of its own: the bus passes over the stack, which is scarce in a kernel.
    #[inline(never)]
    fn new(inband: &Inband<'_>, controller: Remote, device: *mut b::device) -> Result<KArc<Self>> {
        static INBAND: LockClass = LockClass::new();
        static GATE: LockClass = LockClass::new();
        let env = KernelEnv {
            lines: [
                Line::new(inband, 0)?,
                Line::new(inband, 1)?,
                Line::new(inband, 2)?,
                Line::new(inband, 3)?,
                Line::new(inband, 4)?,
                Line::new(inband, 5)?,
                Line::new(inband, 6)?,
                Line::new(inband, 7)?,
            ],
            gate: WaitQueue::new(inband, c"oob_spi gate", &GATE)?,
        };
        let state = InbandState {
            settings: [Settings::default(); MAX_CHIP_SELECTS],
            sessions: Sessions::default(),
            buffers: Buffers::new(device),
        };
        let state = Mutex::new(inband, state, c"oob_spi inband", &INBAND)?;
        let shared = KArc::new(
            inband,
            Self {
                bus: Bus::new(controller, env),
                inband: state,
            },
        )?;
        let address = (&raw const *shared).cast_mut();
        for timer in shared.bus.env().lines.iter().flat_map(Line::timers) {
            timer.handler().bus.store(address, Ordering::Release);
        }
        Ok(shared)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: in-band, as for every drop of what sleeps.
        let inband = unsafe { Inband::assume() };
        for timer in self.bus.env().lines.iter().flat_map(Line::timers) {
            timer.cancel(&inband);
        }
    }
}

/// What a device node stands for.
struct Node {
    shared: KArc<Shared>,
    chip_select: u8,
}

/// A bus and its nodes; what the handle that a controller's module gets points to.
struct Registered {
    shared: KArc<Shared>,
    nodes: Mutex<Nodes>,
}

type Nodes = [Option<miscdevice::Registration<SpiFile>>; MAX_CHIP_SELECTS];

/// A text of at most 31 bytes.
#[derive(Default)]
struct Name {
    text: [u8; 31],
    len: usize,
}

impl Write for Name {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        let end = self.len.checked_add(text.len()).ok_or(core::fmt::Error)?;
        self.text
            .get_mut(self.len..end)
            .ok_or(core::fmt::Error)?
            .copy_from_slice(text.as_bytes());
        self.len = end;
        Ok(())
    }
}

impl Name {
    fn of(prefix: &str, bus: u32, chip_select: u8) -> Result<Self> {
        let mut name = Self::default();
        write!(name, "{prefix}{bus}.{chip_select}").map_err(|_| code::EINVAL)?;
        Ok(name)
    }

    fn bytes(&self) -> &[u8] {
        self.text.get(..self.len).unwrap_or_default()
    }
}

fn register(
    inband: &Inband<'_>,
    device: *mut b::device,
    controller: Remote,
) -> Result<KBox<Registered>> {
    static NODES: LockClass = LockClass::new();
    let shared = Shared::new(inband, controller, device)?;
    let none = [const { None }; MAX_CHIP_SELECTS];
    let nodes = Mutex::new(inband, none, c"oob_spi nodes", &NODES)?;
    KBox::new(inband, Registered { shared, nodes })
}

impl Registered {
    fn publish(&self, inband: &Inband<'_>, bus_num: u32) -> Result {
        let chip_selects = self.shared.bus.limits().chip_selects;
        let mut nodes = self.nodes.lock(inband);
        for (chip_select, node) in (0..chip_selects).zip(nodes.iter_mut()) {
            let name = Name::of("oob-spidev", bus_num, chip_select)?;
            let path = Name::of("oob/spidev", bus_num, chip_select)?;
            let device = Node {
                shared: self.shared.clone(),
                chip_select,
            };
            *node = Some(miscdevice::Registration::new(
                inband,
                name.bytes(),
                path.bytes(),
                device,
            )?);
        }
        Ok(())
    }

    /// Ends oob mode for good.
    fn shutdown(&self, inband: &Inband<'_>) {
        let state = self.shared.inband.lock(inband);
        self.shared.bus.shutdown(inband);
        drop(state);
        // No mmap begins any more that gets a buffer. Those under way hold their process's lock, and want ours.
        loop {
            let mut state = self.shared.inband.lock(inband);
            let Some(process) = state.buffers.take_process(inband) else {
                break;
            };
            drop(state);
            process.pass(inband);
        }
        self.shared.inband.lock(inband).buffers.revoke(inband);
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        // SAFETY: in-band, as for every drop of what sleeps.
        let inband = unsafe { Inband::assume() };
        *self.nodes.lock(&inband) = [const { None }; MAX_CHIP_SELECTS];
        self.shutdown(&inband);
    }
}
