// SPDX-License-Identifier: GPL-2.0-only

//! The steps of a frame on registers and lines.
//!
//! ```text
//!  rest:  CS <- no line | DONE | clear, DLEN <- 0           (a known state, from any other)
//!  program: CS <- idle, CLK, DLEN <- 2        (the clock line has its level before any select)
//!  select: [line on] CS <- idle | TA [set-up]
//!  deselect: [hold] [line off] CS <- idle | DONE [clear]    -> the date of its next selection
//! ```

use super::job::{Divider, Job};
use super::parts::{CsLine, MAX_CHIP_SELECTS, SPIN_MAX};
use super::regs::{self, Clk, Cs, Dlen, NO_LINE};
use oob::io::Mmio;
use oob::time::{Clock, Instant, Ns};

/// The hardware did not respond in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stuck;

/// Polls of CS between two reads of the clock, which cost more than a poll.
const POLLS: u32 = 16;

/// What follows a select.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Bytes through the FIFO.
    Fifo,
    /// DMA requests on.
    Dma,
}

pub(super) struct Registers<M, C, L> {
    pub(super) mmio: M,
    pub(super) clock: C,
    lines: [Option<L>; MAX_CHIP_SELECTS],
    /// The polarity bits of the native lines. Every word written to CS has them, because they apply
    /// to idle lines, too.
    polarity: Cs,
}

impl<M: Mmio, C: Clock, L: CsLine> Registers<M, C, L> {
    pub(super) fn new(mmio: M, clock: C, lines: [Option<L>; MAX_CHIP_SELECTS]) -> Self {
        Self {
            mmio,
            clock,
            lines,
            polarity: Cs(0),
        }
    }

    /// The GPIO line of a chip select, if it has one.
    pub(super) fn line(&self, chip_select: u8) -> Option<&L> {
        self.lines.get(usize::from(chip_select))?.as_ref()
    }

    /// Sets which level of a native line is active. It takes effect with the next word written to
    /// CS.
    pub(super) fn set_active_high(&mut self, chip_select: u8, high: bool) {
        if chip_select < regs::NATIVE_LINES {
            let bit = 1u32 << chip_select;
            let others = self.polarity.active_high() & !bit;
            self.polarity
                .set_active_high(if high { others | bit } else { others });
        }
    }

    /// Whether a native line is active high.
    pub(super) fn is_active_high(&self, chip_select: u8) -> bool {
        let bit = 1u32.checked_shl(chip_select.into()).unwrap_or(0);
        self.polarity.active_high() & bit != 0
    }

    /// CS at rest, polarity included, with nothing selected or to be cleared.
    #[inline]
    fn word(&self, idle: Cs) -> Cs {
        Cs(idle.0 | self.polarity.0)
    }

    /// Puts the hardware to rest, from any state: nothing selected, FIFOs empty, DMA off.
    pub(super) fn rest(&self) {
        for line in self.lines.iter().flatten() {
            line.set(false);
        }
        let mut none = Cs(0);
        none.set_line(NO_LINE);
        self.end(none, true);
        self.mmio.write(regs::DLEN, Dlen(0).0);
    }

    /// Writes the registers that stay the same from frame to frame.
    pub(super) fn program(&self, idle: Cs, divider: Divider) {
        self.program_idle(idle);
        self.set_clock(divider);
    }

    /// Sets the clock line's idle level and the native line, with nothing active.
    pub(super) fn program_idle(&self, idle: Cs) {
        self.mmio.write(regs::CS, self.word(idle).0);
    }

    /// Sets the divider, and that bytes follow each other without a gap.
    pub(super) fn set_clock(&self, divider: Divider) {
        let Clk(clk) = divider.register();
        self.mmio.write(regs::CLK, clk);
        let mut gapless = Dlen(0);
        gapless.set_bytes(2);
        self.mmio.write(regs::DLEN, gapless.0);
    }

    /// Empties both FIFOs. TA and DMAEN are 0.
    pub(super) fn clear_fifos(&self, idle: Cs) {
        let mut cs = self.word(idle);
        cs.set_clear_tx(true);
        cs.set_clear_rx(true);
        self.mmio.write(regs::CS, cs.0);
    }

    /// Sets TA, without any line or delay.
    #[inline(always)]
    pub(super) fn begin(&self, idle: Cs, mode: Mode) {
        let mut cs = self.word(idle);
        cs.set_ta(true);
        cs.set_dmaen(mode == Mode::Dma);
        self.mmio.write(regs::CS, cs.0);
    }

    /// Clears TA and DMAEN and writes DONE back. Empties the FIFOs where `clear` is set.
    #[inline]
    pub(super) fn end(&self, idle: Cs, clear: bool) {
        let mut cs = self.word(idle);
        cs.set_done(true);
        cs.set_clear_tx(clear);
        cs.set_clear_rx(clear);
        self.mmio.write(regs::CS, cs.0);
    }

    /// Makes the chip select active, and waits until bytes may follow. `pause` is called for each
    /// wait that is too long to spin, here and below.
    #[inline(always)]
    pub(super) fn select<T>(
        &self,
        chip_select: u8,
        job: &Job<T>,
        mode: Mode,
        pause: impl Fn(Ns) -> bool,
    ) {
        if job.delays.inactive != Ns(0) {
            self.wait_until(job.ready, &pause);
        }
        if job.on_line {
            self.drive(chip_select, true);
        }
        self.begin(job.idle, mode);
        if job.delays.setup != Ns(0) {
            self.delay(job.delays.setup, pause);
        }
    }

    /// Makes the chip select inactive after the last byte, and ends the frame.
    #[inline]
    pub(super) fn deselect<T>(
        &self,
        chip_select: u8,
        job: &mut Job<T>,
        clear: bool,
        pause: impl Fn(Ns) -> bool,
    ) {
        if job.delays.hold != Ns(0) {
            self.delay(job.delays.hold, pause);
        }
        if job.on_line {
            self.drive(chip_select, false);
        }
        self.end(job.idle, clear);
        if job.delays.inactive != Ns(0) {
            job.ready = self.clock.now().after(job.delays.inactive);
        }
    }

    /// Drives a chip select's GPIO line.
    pub(super) fn drive(&self, chip_select: u8, active: bool) {
        if let Some(line) = self.line(chip_select) {
            line.set(active);
        }
    }

    fn delay(&self, span: Ns, pause: impl Fn(Ns) -> bool) {
        self.wait_until(self.clock.now().after(span), &pause);
    }

    /// Waits out a delay, also when no thread waits for the frame any more: the device needs it.
    #[inline(always)]
    fn wait_until(&self, date: Instant, pause: &impl Fn(Ns) -> bool) {
        let left = date.since(self.clock.now());
        if left > SPIN_MAX {
            pause(left);
        }
        self.clock.spin_until(date);
    }

    /// Polls CS until `reached` returns `true`. Gives up when that takes longer than `limit`.
    ///
    /// The first polls do not read the clock. After the limit some more polls follow: a processor
    /// that was held up elsewhere must not blame the hardware for its own absence.
    #[inline]
    pub(super) fn wait(&self, limit: Ns, reached: impl Fn(Cs) -> bool) -> Result<Cs, Stuck> {
        let mut deadline = None;
        let mut expired = false;
        loop {
            for _ in 0..POLLS {
                let cs = Cs(self.mmio.read(regs::CS));
                if reached(cs) {
                    return Ok(cs);
                }
                self.clock.relax();
            }
            if expired {
                return Err(Stuck);
            }
            let now = self.clock.now();
            expired = now >= *deadline.get_or_insert(now.after(limit));
        }
    }
}
