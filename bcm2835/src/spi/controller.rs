// SPDX-License-Identifier: GPL-2.0-only

//! The controller, for the out-of-band framework.
//!
//! ```text
//!   prepare -> Job { path } -- pulse, FIFO ----------------------------> Done
//!                           `- pulse, DMA -> InFlight -> finish(Signalled): Ok | Bus
//!                                                     `- finish(TimedOut): Stuck | Bus, abort
//! ```
//!
//! A DMA error raises no interrupt, so it is found when the frame's time is over: `finish` returns
//! `Bus` then, too.

use super::fifo::{End, exchange, exchange_short};
use super::job::{self, Area, Descriptors, Divider, Job};
use super::parts::{CsLine, DMA_FRAME_MAX, Dma, FIFO_FRAME_MAX, FRAME_SPIN_MAX, SPIN_MAX};
use super::registers::Mode;
use super::regs::{self, Dlen, FIFO_LEN};
use super::state::Spi;
use oob::io::Mmio;
use oob::long_wait::LongWait;
use oob::stage::Inband;
use oob::time::{Clock, Instant, Ns};
use oob_dma::{Direction, PulseChannel, Transfer};
use oob_spi::controller::{
    Controller, Delays, FrameKind, FrameMemory, Limits, MODE_CPHA, MODE_CPOL, MODE_CS_HIGH,
    MODE_NO_CS, Outcome, Path, PrepareError, Prepared, Pulse, Setup, TransferError,
};

const MODES: u32 = MODE_CPHA | MODE_CPOL | MODE_CS_HIGH | MODE_NO_CS;
/// Words of 8 bits, and no others.
const WORD_BITS: u32 = 1 << 7;

/// How long a handler waits for the channels of a frame whose completion was signalled. They are
/// idle then, unless the signal came too early.
const SETTLE_MAX: Ns = Ns(20_000);
/// How long a thread sleeps between two looks at the channels in that case.
const SETTLE_LOOK: Ns = Ns(100_000);

/// The three areas of a frame's memory, with the bus address of each.
struct Areas {
    rx: (Area, u64),
    tx: (Area, u64),
    stop: (Area, u64),
}

impl Areas {
    fn new(memory: &FrameMemory, len: u32, reach: u32) -> Option<Self> {
        let at = |offset| job::area(memory, offset, len, reach);
        Some(Self {
            rx: at(memory.rx_offset)?,
            tx: at(memory.tx_offset)?,
            stop: at(memory.stop_offset)?,
        })
    }
}

impl<D: PulseChannel> Dma<D> {
    /// Writes the three descriptors of a chip select.
    ///
    /// # Safety
    ///
    /// The areas are valid for the device until the last pulse of one of them has ended, and none
    /// is under way now.
    unsafe fn prepare(
        &self,
        chip_select: u8,
        areas: &Areas,
        len: u32,
    ) -> Result<Descriptors<D::Descriptor>, oob_dma::PrepareError> {
        let base = usize::from(chip_select).saturating_mul(job::SLOTS);
        let receive = Transfer {
            direction: Direction::FromDevice,
            memory: areas.rx.1,
            device: self.fifo,
            request: self.rx_request,
            len,
            interrupt: true,
        };
        let send = |memory| Transfer {
            direction: Direction::ToDevice,
            memory,
            request: self.tx_request,
            interrupt: false,
            ..receive
        };
        let slot = |index: usize| base.saturating_add(index);
        Ok(Descriptors {
            // SAFETY: the RX area is valid until the last pulse has ended, by contract. The slot is
            // this chip select's own.
            rx: unsafe { self.rx.prepare(&self.memory, slot(0), &receive) }?,
            // SAFETY: the TX area is valid until the last pulse has ended, by contract. The slot is
            // this chip select's own.
            tx: unsafe { self.tx.prepare(&self.memory, slot(1), &send(areas.tx.1)) }?,
            // SAFETY: the stop area is valid until the last pulse has ended, by contract. The slot
            // is this chip select's own.
            stop: unsafe { self.tx.prepare(&self.memory, slot(2), &send(areas.stop.1)) }?,
        })
    }

    /// Waits until both channels are idle. Returns `false` where that takes longer than `limit`.
    fn settle(&self, clock: &impl Clock, limit: Ns, wait: &LongWait<'_>) -> bool {
        let idle = || self.rx.residue() == 0 && self.tx.residue() == 0;
        if idle() {
            return true;
        }
        let deadline = clock.now().after(limit);
        while clock.now() < deadline {
            if !wait.pass(SETTLE_LOOK) {
                return false;
            }
            clock.relax();
            if idle() {
                return true;
            }
        }
        // One more look: this processor itself may have been held up.
        idle()
    }
}

/// The `pause` of a handler: it spins.
const fn spin(_: Ns) -> bool {
    true
}

impl<M: Mmio, C: Clock, D: PulseChannel, L: CsLine> Spi<M, C, D, L> {
    /// The path of frames of `len` bytes that take `time` on the wire.
    fn path(&self, len: u32, time: Ns, delays: &Delays) -> Path {
        let short = usize::try_from(len).is_ok_and(|len| len <= FIFO_LEN) && time <= SPIN_MAX;
        let spans = [delays.setup, delays.hold, delays.inactive];
        let quick = time <= FRAME_SPIN_MAX && spans.iter().all(|span| *span <= SPIN_MAX);
        if self.dma.is_some() && !short {
            Path::Dma
        } else if quick {
            Path::Fifo
        } else {
            Path::SlowFifo
        }
    }

    /// Whether another chip select has a job for which `so` returns `true`.
    fn beside(&self, chip_select: u8, so: impl Fn(u8, &Job<D::Descriptor>) -> bool) -> bool {
        (0..)
            .zip(&self.jobs)
            .any(|(cs, job)| cs != chip_select && job.as_ref().is_some_and(|job| so(cs, job)))
    }

    /// Sends a frame, or starts it. `pause` is called for waits that are too long to spin.
    /// `by_thread`: it sleeps.
    #[inline(always)]
    fn send(
        &mut self,
        chip_select: u8,
        kind: FrameKind,
        by_thread: bool,
        pause: impl Fn(Ns) -> bool,
    ) -> Result<Pulse, TransferError> {
        let Some(Some(job)) = self.jobs.get_mut(usize::from(chip_select)) else {
            return Err(TransferError::NotPrepared);
        };
        let registers = &self.registers;
        if self.programmed != Some(chip_select) {
            registers.program(job.idle, job.divider);
            self.programmed = Some(chip_select);
        }
        if let (Some(descriptors), Some(dma)) = (&job.dma, &self.dma) {
            registers.clear_fifos(job.idle);
            let mut dlen = Dlen(0);
            dlen.set_bytes(job.len);
            registers.mmio.write(regs::DLEN, dlen.0);
            registers.select(chip_select, job, Mode::Dma, pause);
            dma.rx.pulse(descriptors.rx);
            dma.tx.pulse(match kind {
                FrameKind::Regular => descriptors.tx,
                FrameKind::Stop => descriptors.stop,
            });
            return Ok(Pulse::InFlight);
        }
        let tx = match kind {
            FrameKind::Regular => job.tx,
            FrameKind::Stop => job.stop,
        };
        // SAFETY: by the invariant of `Job`, `tx` is valid until `terminate`, and others access it
        // only in ways that atomic accesses may race with.
        let tx = unsafe { tx.as_ref() };
        // SAFETY: by the invariant of `Job`, `rx` is valid until `terminate`, and others access it
        // only in ways that atomic accesses may race with.
        let rx = unsafe { job.rx.as_ref() };
        registers.select(chip_select, job, Mode::Fifo, &pause);
        let moved = if tx.len() <= FIFO_LEN && !by_thread {
            exchange_short(registers, tx, rx, job.limit)
        } else {
            let by = match by_thread {
                true => Instant::NEVER,
                false => registers.clock.now().after(job.limit),
            };
            let ends = (End::new(Some(tx)), End::new(Some(rx)));
            exchange(registers, job.divider, tx.len(), ends, by, &pause)
        };
        // Empty FIFOs need no clearing. After a failure they may hold anything.
        registers.deselect(chip_select, job, moved.is_err(), pause);
        moved
            .map(|()| Pulse::Done)
            .map_err(|_| TransferError::Stuck)
    }
}

impl<M: Mmio, C: Clock, D: PulseChannel, L: CsLine> Controller for Spi<M, C, D, L> {
    fn limits(&self) -> Limits {
        let (min_speed_hz, max_speed_hz) = Divider::range(self.core_hz);
        Limits {
            chip_selects: self.chip_selects,
            max_frame_len: if self.dma.is_some() {
                DMA_FRAME_MAX
            } else {
                FIFO_FRAME_MAX
            },
            min_speed_hz,
            max_speed_hz,
            word_bits: WORD_BITS,
            modes: MODES,
        }
    }

    /// As the trait says. [`PrepareError::ActiveHigh`] follows from the module's rule on chip
    /// selects. `NoDma` also stands for a set-up outside [`Controller::limits`], which the
    /// framework never passes, and for frame memory that is too small or not aligned (see the
    /// module).
    unsafe fn prepare(
        &mut self,
        _inband: &Inband<'_>,
        setup: &Setup,
        memory: &FrameMemory,
    ) -> Result<Prepared, PrepareError> {
        let cs = setup.chip_select;
        let len = setup.frame_len;
        if !self.has_chip_select(cs) || len == 0 || len > self.limits().max_frame_len {
            return Err(PrepareError::NoDma);
        }
        let divider = Divider::new(self.core_hz, setup.speed_hz).ok_or(PrepareError::Speed)?;
        let time = divider.time(len);
        let path = self.path(len, time, &setup.delays);
        let on_line = self.registers.line(cs).is_some() && setup.mode & MODE_NO_CS == 0;
        let high = setup.mode & MODE_CS_HIGH != 0 && !on_line;
        let own = high && setup.mode & MODE_NO_CS == 0;
        let refused = match path {
            Path::Dma => own || self.beside(cs, |cs, _| self.registers.is_active_high(cs)),
            Path::Fifo | Path::SlowFifo => own && self.beside(cs, |_, job| job.dma.is_some()),
        };
        if refused {
            return Err(PrepareError::ActiveHigh);
        }
        let reach = match path {
            Path::Fifo | Path::SlowFifo => len,
            Path::Dma => job::padded(len),
        };
        let areas = Areas::new(memory, len, reach).ok_or(PrepareError::NoDma)?;
        let dma = match (&self.dma, path) {
            (Some(dma), Path::Dma) => {
                // SAFETY: by this function's contract the memory is valid until `terminate`, after
                // which nothing is pulsed. Nothing is under way while the framework prepares.
                let prepared = unsafe { dma.prepare(cs, &areas, reach) };
                Some(prepared.map_err(|_| PrepareError::NoDma)?)
            }
            _ => None,
        };
        let delays = setup.delays.sum();
        let limit = match dma {
            Some(_) => divider.limit(len),
            None => divider.handlers_limit(len, delays),
        };
        let spin = match dma {
            Some(_) => SETTLE_MAX
                .0
                .saturating_add(D::ABORT_MAX.0.saturating_mul(2)),
            None => limit.0,
        };
        let job = Job {
            idle: job::idle_word(cs, setup.mode, on_line),
            on_line,
            divider,
            delays: setup.delays,
            ready: self.registers.clock.now().after(setup.delays.inactive),
            limit,
            len,
            rx: areas.rx.0,
            tx: areas.tx.0,
            stop: areas.stop.0,
            dma,
        };
        let place = self
            .jobs
            .get_mut(usize::from(cs))
            .ok_or(PrepareError::NoDma)?;
        *place = Some(job);
        self.registers.set_active_high(cs, high);
        self.programmed = None;
        let wire = time.0.saturating_add(delays.0);
        Ok(Prepared {
            effective_hz: divider.effective_hz(),
            wire: Ns(wire),
            spin: Ns(spin.saturating_add(delays.0)),
            path,
        })
    }

    fn start(&mut self, _inband: &Inband<'_>) {
        self.quiesce();
    }

    #[inline(always)]
    fn pulse(&mut self, chip_select: u8, kind: FrameKind) -> Result<Pulse, TransferError> {
        self.send(chip_select, kind, false, spin)
    }

    fn pulse_may_sleep(
        &mut self,
        chip_select: u8,
        kind: FrameKind,
        wait: &LongWait<'_>,
    ) -> Result<Pulse, TransferError> {
        self.send(chip_select, kind, wait.sleeps(), |span| wait.pass(span))
    }

    /// As the trait says, except that [`Outcome::TimedOut`] returns `Bus` where a DMA error was the
    /// reason.
    fn finish(
        &mut self,
        chip_select: u8,
        outcome: Outcome,
        wait: &LongWait<'_>,
    ) -> Result<(), TransferError> {
        let (Some(Some(job)), Some(dma)) = (self.jobs.get_mut(usize::from(chip_select)), &self.dma)
        else {
            return Err(TransferError::NotPrepared);
        };
        let registers = &self.registers;
        // The signal comes when the last byte is in memory. A late signal of an earlier frame comes
        // too early: then wait.
        let limit = match wait.sleeps() {
            true => job.limit,
            false => job.limit.min(SETTLE_MAX),
        };
        let complete = outcome == Outcome::Signalled && dma.settle(&registers.clock, limit, wait);
        let faults = (dma.tx.take_fault(), dma.rx.take_fault());
        let faulty = faults != (None, None);
        if faulty || !complete {
            // TX first, so that no further byte is sent.
            dma.tx.abort(&registers.clock);
            dma.rx.abort(&registers.clock);
        }
        registers.deselect(chip_select, job, true, |span| wait.pass(span));
        registers.mmio.write(regs::DLEN, Dlen(0).0);
        if faulty {
            Err(TransferError::Bus)
        } else if complete {
            Ok(())
        } else {
            Err(TransferError::Stuck)
        }
    }

    fn terminate(&mut self, _inband: &Inband<'_>, chip_select: u8) {
        if let Some(job) = self.jobs.get_mut(usize::from(chip_select)) {
            *job = None;
        }
    }

    fn stop(&mut self, _inband: &Inband<'_>) {
        self.quiesce();
    }
}
