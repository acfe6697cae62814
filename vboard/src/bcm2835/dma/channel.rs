// SPDX-License-Identifier: GPL-2.0-only

//! One channel: its registers and its phase.

use super::regs::{self, Cs, Debug, Ti};
use crate::bcm2835::ticks::{NEVER, Tick};

/// Core clocks to fetch a control block.
const FETCH: Tick = 40;
/// Core clocks for a word from or to a peripheral, on a full channel.
pub(crate) const PERIPHERAL_WORD: Tick = 24;
/// Core clocks for a word from memory to memory, on a full channel.
const MEMORY_WORD: Tick = 8;
/// Without WAIT_RESP, a channel writes so many words before it sees that DREQ has been withdrawn.
const POSTED: u8 = 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// No control block is loaded.
    Empty,
    /// A control block is being fetched.
    Fetch,
    /// The channel waits for DREQ.
    Parked,
    /// An access is in flight.
    Move,
    /// A control block is loaded, and the channel is not active.
    Paused,
    /// A bus error has stopped the channel.
    Failed,
}

/// A control block, in the order of its words in memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ControlBlock {
    pub(crate) ti: u32,
    pub(crate) source: u32,
    pub(crate) dest: u32,
    pub(crate) len: u32,
    pub(crate) stride: u32,
    pub(crate) next: u32,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Channel {
    lite: bool,
    cs: Cs,
    conblk: u32,
    pub(crate) ti: Ti,
    pub(crate) source: u32,
    pub(crate) dest: u32,
    /// Bytes left in this row.
    pub(crate) left: u32,
    /// The length of a row in bytes.
    row: u32,
    /// How many rows are left after this one.
    rows: u32,
    stride: u32,
    next: u32,
    debug: Debug,
    pub(crate) phase: Phase,
    /// When the fetch or access in flight ends. [`NEVER`] if none is, or if it hangs.
    pub(crate) at: Tick,
    /// How many words were written since DREQ was last seen high.
    posted: u8,
}

impl Channel {
    pub(super) const fn new(lite: bool) -> Self {
        Self {
            lite,
            cs: Cs(0),
            conblk: 0,
            ti: Ti(0),
            source: 0,
            dest: 0,
            left: 0,
            row: 0,
            rows: 0,
            stride: 0,
            next: 0,
            debug: Debug(0),
            phase: Phase::Empty,
            at: NEVER,
            posted: POSTED,
        }
    }

    /// Whether the channel continues after the access in flight.
    pub(crate) fn active(&self) -> bool {
        self.cs.active()
    }

    pub(super) fn interrupts(&self) -> bool {
        self.cs.int()
    }

    pub(crate) fn paced(&self) -> bool {
        self.ti.src_dreq() || self.ti.dest_dreq()
    }

    /// Whether the end of this control block raises INT or starts another block, which may raise
    /// it.
    pub(crate) fn may_interrupt(&self) -> bool {
        self.ti.inten() || self.next != 0
    }

    /// The address of the control block that is fetched next.
    pub(crate) fn block_address(&self) -> u32 {
        self.conblk & !0x1f
    }

    /// The core clocks that one word takes.
    pub(crate) fn word_ticks(&self, peripheral: bool) -> Tick {
        let full = if peripheral {
            PERIPHERAL_WORD
        } else {
            MEMORY_WORD
        };
        let ticks = if self.lite {
            full.wrapping_mul(2)
        } else {
            full
        };
        ticks.wrapping_add(Tick::from(self.ti.waits()))
    }

    /// Whether either end is a peripheral.
    pub(crate) fn peripheral(&self) -> bool {
        let reads = !self.ti.src_ignore() && self.source >> 24 == 0x7e;
        let writes = !self.ti.dest_ignore() && self.dest >> 24 == 0x7e;
        reads || writes
    }

    pub(super) fn read(&self, offset: u32, dreq: bool) -> u32 {
        match offset {
            regs::CS => self.status(dreq),
            regs::CONBLK_AD => self.conblk,
            regs::TI => self.ti.0,
            regs::SOURCE_AD => self.source,
            regs::DEST_AD => self.dest,
            regs::TXFR_LEN if self.ti.tdmode() => self.rows << 16 | self.left,
            regs::TXFR_LEN => self.left,
            regs::STRIDE => self.stride,
            regs::NEXTCONBK => self.next,
            regs::DEBUG => {
                let mut debug = self.debug;
                debug.set_lite(self.lite);
                debug.0
            }
            _ => 0,
        }
    }

    fn status(&self, dreq: bool) -> u32 {
        let mut cs = self.cs;
        let in_flight = matches!(self.phase, Phase::Move | Phase::Fetch);
        cs.set_dreq(dreq);
        cs.set_paused(!cs.active() && self.phase != Phase::Empty);
        cs.set_dreq_stops_dma(self.phase == Phase::Parked);
        cs.set_waiting_for_outstanding_writes(in_flight && (self.ti.wait_resp() || !cs.active()));
        cs.set_error(self.debug.0 & Debug::ERRORS != 0);
        cs.0
    }

    pub(super) fn write(&mut self, t: Tick, offset: u32, value: u32, enabled: bool, dreq: bool) {
        match offset {
            regs::CS => self.write_cs(t, Cs(value), enabled, dreq),
            // While the channel runs, a write is ignored. Otherwise the new address replaces the
            // block that is loaded.
            regs::CONBLK_AD if !self.active() && self.at == NEVER => {
                self.conblk = value;
                if self.phase == Phase::Paused {
                    self.phase = Phase::Empty;
                }
            }
            regs::NEXTCONBK if self.phase == Phase::Paused => self.next = value,
            regs::DEBUG => self.debug = Debug(self.debug.0 & !(value & Debug::ERRORS)),
            _ => {}
        }
    }

    fn write_cs(&mut self, t: Tick, value: Cs, enabled: bool, dreq: bool) {
        if value.reset() {
            // The registers that hold the control block keep their values.
            self.cs = Cs(0);
            self.conblk = 0;
            self.debug = Debug(0);
            self.phase = Phase::Empty;
            self.at = NEVER;
            return;
        }
        let (was_active, end, int) = (self.cs.active(), self.cs.end(), self.cs.int());
        self.cs = Cs(value.0 & Cs::STORED);
        self.cs.set_end(end && !value.end());
        self.cs.set_int(int && !value.int());
        self.cs.set_active(was_active);
        if value.abort() && self.phase != Phase::Empty && !self.hung() {
            self.debug = Debug(0);
            self.next_block(t);
        }
        if value.active() && enabled {
            self.resume(t, dreq);
        } else {
            self.pause();
        }
    }

    fn resume(&mut self, t: Tick, dreq: bool) {
        match self.phase {
            Phase::Empty if self.conblk == 0 => {}
            Phase::Failed => {}
            Phase::Empty => {
                self.cs.set_active(true);
                self.fetch(t);
            }
            Phase::Paused => {
                self.cs.set_active(true);
                self.schedule(t, dreq);
            }
            Phase::Fetch | Phase::Parked | Phase::Move => self.cs.set_active(true),
        }
    }

    /// Makes the channel inactive. An access in flight still ends.
    pub(super) fn pause(&mut self) {
        self.cs.set_active(false);
        if self.phase == Phase::Parked {
            self.phase = Phase::Paused;
        }
    }

    fn fetch(&mut self, t: Tick) {
        self.phase = Phase::Fetch;
        self.at = t.saturating_add(FETCH);
    }

    /// Loads a control block, whose fetch ended at `t`.
    pub(crate) fn load(&mut self, t: Tick, block: &ControlBlock, dreq: impl FnOnce(&Self) -> bool) {
        let (ti, rows_mask, len_mask) = if self.lite {
            (block.ti & Ti::VALID & !Ti::FULL_ONLY, 0, 0xffff)
        } else {
            (block.ti & Ti::VALID, 0x3fff, 0x3fff_ffff)
        };
        self.ti = Ti(ti);
        self.source = block.source;
        self.dest = block.dest;
        self.stride = block.stride;
        self.next = block.next;
        (self.row, self.rows) = if self.ti.tdmode() {
            (block.len & 0xffff, block.len >> 16 & rows_mask)
        } else {
            (block.len & len_mask, 0)
        };
        self.left = self.row;
        self.posted = POSTED;
        if self.left == 0 {
            self.complete(t);
        } else {
            let dreq = dreq(self);
            self.schedule(t, dreq);
        }
    }

    /// Begins the next access at `t`, or parks the channel until DREQ is high.
    pub(crate) fn schedule(&mut self, t: Tick, dreq: bool) {
        self.at = NEVER;
        if !self.cs.active() {
            self.phase = Phase::Paused;
            return;
        }
        if !self.paced() || dreq {
            self.posted = 0;
        } else if self.ti.dest_dreq() && !self.ti.wait_resp() && self.posted < POSTED {
            self.posted = self.posted.wrapping_add(1);
        } else {
            self.posted = POSTED;
            self.phase = Phase::Parked;
            return;
        }
        self.phase = Phase::Move;
        self.at = t.saturating_add(self.word_ticks(self.peripheral()));
    }

    /// Accounts for `bytes` of this row, moved by `t`. Returns whether the control block has more
    /// to move.
    pub(crate) fn moved(&mut self, t: Tick, bytes: u32) -> bool {
        self.advance(bytes);
        if self.left == 0 {
            if self.rows == 0 {
                self.complete(t);
                return false;
            }
            self.rows = self.rows.wrapping_sub(1);
            self.left = self.row;
            self.source = self.source.wrapping_add(sign_extended(self.stride));
            self.dest = self.dest.wrapping_add(sign_extended(self.stride >> 16));
        }
        true
    }

    /// Accounts for `bytes` that end neither the row nor the control block. The phase stays as it
    /// is.
    pub(crate) fn advance(&mut self, bytes: u32) {
        if self.ti.src_inc() {
            self.source = self.source.wrapping_add(bytes);
        }
        if self.ti.dest_inc() {
            self.dest = self.dest.wrapping_add(bytes);
        }
        self.left = self.left.saturating_sub(bytes);
    }

    fn complete(&mut self, t: Tick) {
        self.cs.set_end(true);
        if self.ti.inten() {
            self.cs.set_int(true);
        }
        self.next_block(t);
    }

    /// Starts the next control block, if there is one.
    fn next_block(&mut self, t: Tick) {
        self.conblk = self.next;
        self.phase = Phase::Empty;
        self.at = NEVER;
        if self.conblk == 0 {
            self.cs.set_active(false);
        } else if self.cs.active() {
            self.fetch(t);
        }
    }

    /// Stops the channel after a bus error.
    pub(crate) fn fail(&mut self) {
        self.debug.set_read_error(true);
        self.cs.set_active(false);
        self.phase = Phase::Failed;
        self.at = NEVER;
    }

    fn hung(&self) -> bool {
        matches!(self.phase, Phase::Move | Phase::Fetch) && self.at == NEVER
    }

    /// Makes the access in flight hang: it never ends.
    pub(crate) fn hang(&mut self) {
        self.at = NEVER;
    }
}

const fn sign_extended(half: u32) -> u32 {
    (half << 16).cast_signed().wrapping_shr(16).cast_unsigned()
}
