// SPDX-License-Identifier: GPL-2.0-only

//! The scripted controller. A script says what each frame does, and a log says what was called.

use super::{FRAME, LIMITS, WIRE};
use oob::host::Host;
use oob::long_wait::LongWait;
use oob::stage::Inband;
use oob::time::{Clock, Instant, Ns};
use oob_spi::controller::*;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

/// How long a stuck frame on the FIFO path lets a thread sleep.
const STUCK: Ns = Ns(10_000_000);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Did {
    Prepare(u8),
    Start,
    Pulse(u8, FrameKind),
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
    /// DMA: its completion interrupt comes this long after the start.
    Late(Ns),
    /// Never ends by itself. Its completion interrupt comes this long after the start, even if the
    /// frame has been ended.
    Ghost(Ns),
    /// `pulse` fails.
    Refused(TransferError),
    /// Ends, and `finish` finds an error.
    Broken(TransferError),
}

pub(crate) struct Hardware {
    pub(super) host: Host,
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
    pub(super) frame: Cell<u32>,
    pub(super) current: Cell<Frame>,
    pub(crate) interrupt: RefCell<Option<Rc<dyn Fn()>>>,
}

impl Hardware {
    fn did(&self, what: Did) {
        self.log.borrow_mut().push(what);
    }

    pub(crate) fn pulses(&self) -> Vec<(u8, FrameKind)> {
        let log = self.log.borrow();
        let pulses = log.iter().filter_map(|did| match did {
            Did::Pulse(chip_select, kind) => Some((*chip_select, *kind)),
            _ => None,
        });
        pulses.collect()
    }

    fn fire(&self) {
        let interrupt = self.interrupt.borrow().clone().unwrap();
        interrupt();
    }

    /// The received bytes are the sent ones, inverted.
    fn loop_back(&self, chip_select: u8, kind: FrameKind) {
        let memory = self.memory.borrow()[usize::from(chip_select)].unwrap();
        let from = match kind {
            FrameKind::Regular => memory.tx_offset,
            FrameKind::Stop => memory.stop_offset,
        };
        let mut sent = Vec::new();
        for i in 0..FRAME as usize {
            // SAFETY: the area has `FRAME` bytes of the rig's block, which is leaked.
            let byte = unsafe { byte_at(&memory, from + i).read() };
            sent.push(byte);
            // SAFETY: the RX area has `FRAME` bytes of the rig's block, which is leaked.
            unsafe { byte_at(&memory, memory.rx_offset + i).write(!byte) };
        }
        if kind == FrameKind::Stop {
            self.stopped_with.borrow_mut().push(sent);
        }
    }
}

pub(super) fn byte_at(memory: &FrameMemory, offset: usize) -> *mut u8 {
    memory.cpu.as_ptr().wrapping_add(offset)
}

pub(crate) struct Scripted(pub(crate) Rc<Hardware>);

impl Controller for Scripted {
    fn limits(&self) -> Limits {
        LIMITS
    }

    unsafe fn prepare(
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

    fn pulse(&mut self, chip_select: u8, kind: FrameKind) -> Result<Pulse, TransferError> {
        self.pulse_may_sleep(chip_select, kind, &LongWait::SPIN)
    }

    fn pulse_may_sleep(
        &mut self,
        chip_select: u8,
        kind: FrameKind,
        wait: &LongWait<'_>,
    ) -> Result<Pulse, TransferError> {
        let hardware = self.0.clone();
        hardware.did(Did::Pulse(chip_select, kind));
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
            // It spins, and other processors' timers fire meanwhile.
            hardware.host.run_until(end);
            hardware.loop_back(chip_select, kind);
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
                    hardware.loop_back(chip_select, kind);
                    hardware.done.set(true);
                }
                hardware.fire();
            }
        };
        let host = hardware.host.clone();
        match frame {
            Frame::AtOnce => complete(),
            Frame::Good | Frame::Broken(_) => host.at(host.now().after(WIRE), complete),
            Frame::Late(after) => host.at(host.now().after(after), complete),
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
        _: &LongWait<'_>,
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
