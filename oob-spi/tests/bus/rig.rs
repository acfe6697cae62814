// SPDX-License-Identifier: GPL-2.0-only

//! A bus on the host core with a scripted controller.

mod hardware;

use oob::host::{Host, HostFlag, HostTimer};
use oob::stage::{Inband, Oob};
use oob::time::{Clock, Instant, Ns};
use oob_spi::bus::Bus;
use oob_spi::controller::*;
use oob_spi::env::Env;
use oob_spi::errno::{EnableError, RunError};
use oob_spi::layout::{Geometry, Layout};
use oob_spi::request::{Block, Owner, Request};
use oob_spi::validate::Settings;
use oobkit_abi::spi as abi;
use std::cell::{Cell, OnceCell, RefCell};
use std::ptr::NonNull;
use std::rc::Rc;

use hardware::byte_at;
pub(crate) use hardware::{Did, Frame, Hardware, Scripted};

pub(crate) const ME: Owner = Owner(7);
pub(crate) const GEOMETRY: Geometry = Geometry {
    align: 64,
    page: 4096,
};
pub(crate) const LIMITS: Limits = Limits {
    chip_selects: 3,
    max_frame_len: 65_532,
    min_speed_hz: 10_000,
    max_speed_hz: 50_000_000,
    word_bits: 1 << 7 | 1 << 15 | 1 << 31,
    modes: MODE_CPHA | MODE_CPOL,
};
/// The frame of all tests but those of the limits: 16 bytes at 1 MHz, 128 us on the wire.
pub(crate) const FRAME: u32 = 16;
pub(crate) const WIRE: Ns = Ns(128_000);

pub(crate) struct HostEnv {
    host: Host,
    flags: Vec<HostFlag>,
    triggers: [OnceCell<HostTimer>; 3],
    watches: [OnceCell<HostTimer>; 3],
    pub(crate) opened: Cell<u32>,
    pub(crate) interrupted: Cell<bool>,
    /// How long the whole machine, interrupts included, is held up after the clock is read the next
    /// time.
    pub(crate) held_up: Cell<Ns>,
}

impl Clock for HostEnv {
    fn now(&self) -> Instant {
        let now = self.host.now();
        self.host.elapse(self.held_up.take());
        now
    }

    fn ticks(&self) -> u64 {
        self.host.now().0
    }

    fn relax(&self) {
        self.host.relax();
    }
}

impl Env for HostEnv {
    type Flag = HostFlag;
    type Timer = HostTimer;

    fn flag(&self, chip_select: u8) -> &HostFlag {
        &self.flags[usize::from(chip_select)]
    }

    fn trigger_timer(&self, chip_select: u8) -> &HostTimer {
        self.triggers[usize::from(chip_select)].get().unwrap()
    }

    fn watchdog_timer(&self, chip_select: u8) -> &HostTimer {
        self.watches[usize::from(chip_select)].get().unwrap()
    }

    fn is_interrupted(&self, _: &Oob<'_>) -> bool {
        self.interrupted.get()
    }

    fn nap(&self, inband: &Inband<'_>) {
        let date = self.host.now().after(Ns(100_000));
        let _ = self.host.sleep_until_date(inband, date);
    }

    fn gate_opened(&self, _: &Inband<'_>) {
        self.opened.set(self.opened.get() + 1);
    }
}

pub(crate) type TestBus = Bus<Scripted, HostEnv>;

pub(crate) struct Rig {
    pub(crate) host: Host,
    pub(crate) bus: Rc<TestBus>,
    pub(crate) hardware: Rc<Hardware>,
    pub(crate) settings: Cell<Settings>,
    /// Lengths of the blocks that were made.
    pub(crate) blocks: RefCell<Vec<u32>>,
}

pub(crate) fn enable_args() -> abi::Enable {
    abi::Enable {
        frame_len: FRAME,
        speed_hz: 1_000_000,
        ..Default::default()
    }
}

impl Rig {
    pub(crate) fn new(path: Path) -> Rc<Self> {
        Self::on_host(path, Host::new())
    }

    pub(crate) fn on_host(path: Path, host: Host) -> Rc<Self> {
        let hardware = Rc::new(Hardware {
            host: host.clone(),
            log: RefCell::default(),
            script: RefCell::default(),
            path: Cell::new(path),
            prepare: Cell::new(None),
            dates: RefCell::default(),
            memory: RefCell::default(),
            stopped_with: RefCell::default(),
            during_prepare: RefCell::default(),
            setups: RefCell::default(),
            done: Cell::new(false),
            frame: Cell::new(0),
            current: Cell::new(Frame::Good),
            interrupt: RefCell::new(None),
        });
        let env = HostEnv {
            host: host.clone(),
            flags: (0..3).map(|_| host.flag(&host.inband())).collect(),
            triggers: Default::default(),
            watches: Default::default(),
            opened: Cell::new(0),
            interrupted: Cell::new(false),
            held_up: Cell::default(),
        };
        let bus = Rc::new(Bus::new(Scripted(hardware.clone()), env));
        for cs in 0..3 {
            let weak = Rc::downgrade(&bus);
            let tick = move |missed| weak.upgrade().unwrap().trigger_tick(cs, missed);
            let _ = bus.env().triggers[usize::from(cs)].set(host.timer(&host.inband(), tick));
            let weak = Rc::downgrade(&bus);
            let tick = move |missed| weak.upgrade().unwrap().watchdog_tick(cs, missed);
            let _ = bus.env().watches[usize::from(cs)].set(host.timer(&host.inband(), tick));
        }
        let (weak, status) = (Rc::downgrade(&bus), Rc::downgrade(&hardware));
        *hardware.interrupt.borrow_mut() = Some(Rc::new(move || {
            let status = status.upgrade().unwrap();
            weak.upgrade()
                .unwrap()
                .interrupt(|| status.done.replace(false));
        }));
        Rc::new(Self {
            host,
            bus,
            hardware,
            settings: Cell::new(Settings::default()),
            blocks: RefCell::default(),
        })
    }

    /// A rig with chip select 0 in oob mode.
    pub(crate) fn on(path: Path) -> Rc<Self> {
        let rig = Self::new(path);
        rig.enable(0).unwrap();
        rig
    }

    pub(crate) fn enable(&self, chip_select: u8) -> Result<abi::Enable, EnableError> {
        self.enable_as(chip_select, ME, &enable_args())
    }

    pub(crate) fn enable_as(
        &self,
        chip_select: u8,
        owner: Owner,
        args: &abi::Enable,
    ) -> Result<abi::Enable, EnableError> {
        self.enable_with(chip_select, owner, args, |layout| {
            self.blocks.borrow_mut().push(layout.total);
            let block = vec![0_u8; layout.total as usize].leak();
            Ok(Block {
                cpu: NonNull::from(&mut block[0]),
                bus: 0xc000_0000,
            })
        })
    }

    pub(crate) fn enable_with(
        &self,
        chip_select: u8,
        owner: Owner,
        args: &abi::Enable,
        memory: impl FnOnce(&Layout) -> Result<Block, EnableError>,
    ) -> Result<abi::Enable, EnableError> {
        let request = Request {
            owner,
            args,
            settings: &self.settings.get(),
            geometry: GEOMETRY,
            gate_limit: Ns(1_000_000),
        };
        // SAFETY: tests pass blocks of `total` bytes that they leak.
        unsafe {
            self.bus
                .enable(&self.host.inband(), chip_select, &request, memory)
        }
    }

    pub(crate) fn run(&self) -> Result<(), RunError> {
        self.bus.run(&self.host.oob(), 0, ME)
    }

    /// RUN_UNTIL `span` from now.
    pub(crate) fn run_for(&self, span: Ns) -> Result<(), RunError> {
        let args = abi::RunUntil {
            deadline_ns: self.host.now().after(span).0,
            reserved: 0,
        };
        self.bus.run_until(&self.host.oob(), 0, ME, &args)
    }

    pub(crate) fn disable(&self) {
        self.bus.disable(&self.host.inband(), 0, ME).unwrap();
    }

    pub(crate) fn set_stop(&self, miss_limit: u32, period: Ns) {
        let args = abi::Stop {
            miss_limit,
            reserved: 0,
            period_ns: period.0,
        };
        self.bus
            .set_stop(&self.host.inband(), 0, ME, &args)
            .unwrap();
    }

    pub(crate) fn set_timer(&self, chip_select: u8, first: Instant, period: Ns) {
        let args = abi::Trigger {
            kind: abi::TRIGGER_TIMER,
            reserved: 0,
            first_ns: first.0,
            period_ns: period.0,
        };
        self.bus
            .set_trigger(&self.host.inband(), chip_select, ME, &args)
            .unwrap();
    }

    pub(crate) fn script(&self, frames: impl IntoIterator<Item = Frame>) {
        self.hardware.script.borrow_mut().extend(frames);
    }

    pub(crate) fn pass(&self, span: Ns) {
        self.host.run_until(self.host.now().after(span));
    }

    pub(crate) fn write_tx(&self, chip_select: u8, byte: u8) {
        let memory = self.hardware.memory.borrow()[usize::from(chip_select)].unwrap();
        for i in 0..FRAME as usize {
            // SAFETY: the TX area has `FRAME` bytes of the rig's block, which is leaked.
            unsafe { byte_at(&memory, memory.tx_offset + i).write(byte) };
        }
    }

    pub(crate) fn read_rx(&self, chip_select: u8) -> Vec<u8> {
        let memory = self.hardware.memory.borrow()[usize::from(chip_select)].unwrap();
        (0..FRAME as usize)
            // SAFETY: the RX area has `FRAME` bytes of the rig's block, which is leaked.
            .map(|i| unsafe { byte_at(&memory, memory.rx_offset + i).read() })
            .collect()
    }

    pub(crate) fn stats(&self) -> abi::Stats {
        self.bus.stats(0)
    }
}
