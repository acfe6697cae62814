// SPDX-License-Identifier: GPL-2.0-only

//! A bus on the host core with a scripted controller: what each frame does is said beforehand, what was done is logged.

use evl::host::{Host, HostFlag, HostTimer};
use evl::stage::{Inband, Oob};
use evl::time::{Clock, Instant, Ns};
use oob_spi::bus::{Block, Bus, Env, Owner, Request};
use oob_spi::controller::*;
use oob_spi::errno::{EnableError, RunError};
use oob_spi::layout::{Geometry, Layout};
use oob_spi::validate::Settings;
use oobkit_abi::spi as abi;
use std::cell::{Cell, OnceCell, RefCell};
use std::collections::VecDeque;
use std::ptr::NonNull;
use std::rc::Rc;

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
/// A frame that all tests but those of the limits use: 16 bytes at 1 MHz, 128 us on the wire.
pub(crate) const FRAME: u32 = 16;
pub(crate) const WIRE: Ns = Ns(128_000);

/// How long a stuck frame on the FIFO path lets a thread sleep.
const STUCK: Ns = Ns(10_000_000);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Did {
    Prepare(u8),
    Start,
    Pulse(u8, Which),
    Finish(u8, Outcome),
    Terminate(u8),
    Stop,
}

/// What a frame does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    /// Ends after its time on the wire.
    Good,
    /// DMA: its completion interrupt comes before `pulse` returns.
    AtOnce,
    /// Never ends.
    Stuck,
    /// Never ends by itself; its completion interrupt comes this long after the start, whatever has happened since.
    Ghost(Ns),
    /// `pulse` fails.
    Refused(TransferError),
    /// Ends, and `finish` finds an error.
    Broken(TransferError),
}

pub(crate) struct Hardware {
    host: Host,
    pub(crate) log: RefCell<Vec<Did>>,
    pub(crate) script: RefCell<VecDeque<Frame>>,
    pub(crate) path: Cell<Path>,
    pub(crate) prepare: Cell<Option<PrepareError>>,
    pub(crate) dates: RefCell<Vec<Instant>>,
    pub(crate) memory: RefCell<[Option<FrameMemory>; 3]>,
    pub(crate) stopped_with: RefCell<Vec<Vec<u8>>>,
    /// Runs inside the next `prepare`.
    pub(crate) during_prepare: RefCell<Option<Box<dyn FnOnce()>>>,
    pub(crate) setups: RefCell<Vec<Setup>>,
    /// The completion status that the interrupt handler reads and acknowledges.
    pub(crate) done: Cell<bool>,
    /// Counts frames, so that a scheduled completion knows whether its frame was aborted.
    frame: Cell<u32>,
    current: Cell<Frame>,
    pub(crate) interrupt: RefCell<Option<Rc<dyn Fn()>>>,
}

impl Hardware {
    fn did(&self, what: Did) {
        self.log.borrow_mut().push(what);
    }

    pub(crate) fn pulses(&self) -> Vec<(u8, Which)> {
        let log = self.log.borrow();
        let pulses = log.iter().filter_map(|did| match did {
            Did::Pulse(chip_select, which) => Some((*chip_select, *which)),
            _ => None,
        });
        pulses.collect()
    }

    fn fire(&self) {
        let interrupt = self.interrupt.borrow().clone().unwrap();
        interrupt();
    }

    /// What is received is what was sent, inverted.
    fn loop_back(&self, chip_select: u8, which: Which) {
        let memory = self.memory.borrow()[usize::from(chip_select)].unwrap();
        let from = match which {
            Which::Regular => memory.tx_offset,
            Which::Stop => memory.stop_offset,
        };
        let mut sent = Vec::new();
        for i in 0..FRAME as usize {
            // SAFETY: the rig's block is as long as the layout says.
            let byte = unsafe { byte_at(&memory, from + i).read() };
            sent.push(byte);
            // SAFETY: as above.
            unsafe { byte_at(&memory, memory.rx_offset + i).write(!byte) };
        }
        if which == Which::Stop {
            self.stopped_with.borrow_mut().push(sent);
        }
    }
}

fn byte_at(memory: &FrameMemory, offset: usize) -> *mut u8 {
    memory.cpu.as_ptr().wrapping_add(offset)
}

pub(crate) struct Scripted(pub(crate) Rc<Hardware>);

impl Controller for Scripted {
    fn limits(&self) -> Limits {
        LIMITS
    }

    fn prepare(
        &mut self,
        _: &Inband<'_>,
        setup: &Setup,
        memory: &FrameMemory,
    ) -> Result<Prepared, PrepareError> {
        let hardware = &self.0;
        hardware.did(Did::Prepare(setup.chip_select));
        hardware.setups.borrow_mut().push(*setup);
        if let Some(hook) = hardware.during_prepare.take() {
            hook();
        }
        if let Some(error) = hardware.prepare.get() {
            return Err(error);
        }
        hardware.memory.borrow_mut()[usize::from(setup.chip_select)] = Some(*memory);
        let wire = Ns(u64::from(setup.frame_len) * 8_000_000_000 / u64::from(setup.speed_hz));
        Ok(Prepared {
            effective_hz: setup.speed_hz,
            wire,
            spin: match hardware.path.get() {
                Path::Dma => setup.delays.sum(),
                _ => wire,
            },
            path: hardware.path.get(),
        })
    }

    fn start(&mut self, _: &Inband<'_>) {
        self.0.did(Did::Start);
    }

    fn pulse(&mut self, chip_select: u8, which: Which) -> Result<Pulse, TransferError> {
        self.pulse_slowly(chip_select, which, &Wait::SPIN)
    }

    fn pulse_slowly(
        &mut self,
        chip_select: u8,
        which: Which,
        wait: &Wait<'_>,
    ) -> Result<Pulse, TransferError> {
        let hardware = self.0.clone();
        hardware.did(Did::Pulse(chip_select, which));
        hardware.dates.borrow_mut().push(hardware.host.now());
        let frame = hardware
            .script
            .borrow_mut()
            .pop_front()
            .unwrap_or(Frame::Good);
        hardware.current.set(frame);
        hardware.frame.set(hardware.frame.get() + 1);
        if let Frame::Refused(error) = frame {
            return Err(error);
        }
        if hardware.path.get() != Path::Dma {
            let end = hardware.host.now().after(WIRE);
            if !wait.pass(if frame == Frame::Stuck { STUCK } else { WIRE }) {
                return Err(TransferError::Stuck);
            }
            // Spinning: other processors' timers fire meanwhile.
            hardware.host.run_until(end);
            hardware.loop_back(chip_select, which);
            return match frame {
                Frame::Stuck | Frame::Ghost(_) => Err(TransferError::Stuck),
                Frame::Broken(error) => Err(error),
                _ => Ok(Pulse::Done),
            };
        }
        let mine = hardware.frame.get();
        let complete = {
            let hardware = hardware.clone();
            move || {
                if hardware.frame.get() == mine {
                    hardware.loop_back(chip_select, which);
                    hardware.done.set(true);
                }
                hardware.fire();
            }
        };
        let host = hardware.host.clone();
        match frame {
            Frame::AtOnce => complete(),
            Frame::Good | Frame::Broken(_) => host.at(host.now().after(WIRE), complete),
            Frame::Ghost(after) => {
                let hardware = hardware.clone();
                host.at(host.now().after(after), move || hardware.fire());
            }
            _ => {}
        }
        Ok(Pulse::InFlight)
    }

    fn finish(
        &mut self,
        chip_select: u8,
        outcome: Outcome,
        _: &Wait<'_>,
    ) -> Result<(), TransferError> {
        let hardware = &self.0;
        hardware.did(Did::Finish(chip_select, outcome));
        hardware.done.set(false);
        hardware.frame.set(hardware.frame.get() + 1);
        match (outcome, hardware.current.get()) {
            (Outcome::TimedOut, _) => Err(TransferError::Stuck),
            (_, Frame::Broken(error)) => Err(error),
            _ => Ok(()),
        }
    }

    fn terminate(&mut self, _: &Inband<'_>, chip_select: u8) {
        self.0.did(Did::Terminate(chip_select));
        self.0.memory.borrow_mut()[usize::from(chip_select)] = None;
    }

    fn stop(&mut self, _: &Inband<'_>) {
        self.0.did(Did::Stop);
    }
}

pub(crate) struct HostEnv {
    host: Host,
    flags: Vec<HostFlag>,
    triggers: [OnceCell<HostTimer>; 3],
    watches: [OnceCell<HostTimer>; 3],
    pub(crate) opened: Cell<u32>,
    pub(crate) interrupted: Cell<bool>,
}

impl Clock for HostEnv {
    fn now(&self) -> Instant {
        self.host.now()
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

    fn watch_timer(&self, chip_select: u8) -> &HostTimer {
        self.watches[usize::from(chip_select)].get().unwrap()
    }

    fn is_interrupted(&self, _: &Oob<'_>) -> bool {
        self.interrupted.get()
    }

    fn nap(&self, inband: &Inband<'_>) {
        let date = self.host.now().after(Ns(100_000));
        let _ = self.host.sleep_until_date(inband, date);
    }

    fn gate_opened(&self) {
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
            flags: (0..3).map(|_| host.flag()).collect(),
            triggers: Default::default(),
            watches: Default::default(),
            opened: Cell::new(0),
            interrupted: Cell::new(false),
        };
        let bus = Rc::new(Bus::new(Scripted(hardware.clone()), env));
        for cs in 0..3 {
            let weak = Rc::downgrade(&bus);
            let tick = move |missed| weak.upgrade().unwrap().trigger_tick(cs, missed);
            let _ = bus.env().triggers[usize::from(cs)].set(host.timer(tick));
            let weak = Rc::downgrade(&bus);
            let tick = move |missed| weak.upgrade().unwrap().watch_tick(cs, missed);
            let _ = bus.env().watches[usize::from(cs)].set(host.timer(tick));
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
            Some(Block {
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
        memory: impl FnOnce(&Layout) -> Option<Block>,
    ) -> Result<abi::Enable, EnableError> {
        let request = Request {
            owner,
            args,
            settings: &self.settings.get(),
            geometry: GEOMETRY,
            gate_limit: Ns(1_000_000),
        };
        // SAFETY: the block is `total` bytes and is leaked.
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
            // SAFETY: the rig's block is as long as the layout says.
            unsafe { byte_at(&memory, memory.tx_offset + i).write(byte) };
        }
    }

    pub(crate) fn read_rx(&self, chip_select: u8) -> Vec<u8> {
        let memory = self.hardware.memory.borrow()[usize::from(chip_select)].unwrap();
        (0..FRAME as usize)
            // SAFETY: as above.
            .map(|i| unsafe { byte_at(&memory, memory.rx_offset + i).read() })
            .collect()
    }

    pub(crate) fn stats(&self) -> abi::Stats {
        self.bus.stats(0)
    }
}
