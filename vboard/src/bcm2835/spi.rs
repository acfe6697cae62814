// SPDX-License-Identifier: GPL-2.0-only

//! SPI0: two FIFOs with a shifter between them.
//!
//! ```text
//!   FIFO write -> [ TX 64 bytes ] -> shifter -> MOSI       TX DREQ: level <= TDREQ
//!   FIFO read  <- [ RX 64 bytes ] <- shifter <- MISO       RX DREQ: level > RDREQ
//!
//!   a byte:  begin                                 end = begin + (8 or 9) * CDIV
//!              | first edge ... last edge | [idle clock] | push to RX
//! ```
//!
//! Source: "BCM2835 ARM Peripherals", chapter 10, and its published errata. Where they are silent:
//! - A byte that is being shifted when TA falls is lost.
//! - DLEN counts down at the end of each byte, and only while DMAEN is set.
//! - In DMA mode DONE is set when DLEN has reached 0, even if bytes are left in the FIFO.
//! - CSPOL inverts all lines, CSPOL0..2 invert one each. A line that both bits select is inverted
//!   once.

mod line;
mod regs;
mod shifter;

use crate::bcm2835::faults::Faults;
use crate::bcm2835::fifo::Fifo;
use crate::bcm2835::ticks::{CoreClock, NEVER, Tick};
use crate::slaves::{ChipSelect, LINES, Slaves};
use line::Line;
use regs::{Cs, Dc};

/// RXR is set while the receive FIFO has at least so many bytes.
const RXR_LEVEL: usize = 48;

/// SPI0's counters, for tests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpiCounts {
    /// Bytes exchanged with a slave.
    pub shifted: u64,
    /// Bytes written to a full transmit FIFO, and lost.
    pub overruns: u32,
    /// Reads of an empty receive FIFO.
    pub underruns: u32,
    /// Changes of DMAEN with bytes in a FIFO, which garbled them.
    pub garbled: u32,
    /// Bytes lost in the shifter because TA fell.
    pub aborted: u32,
    /// Control words taken (FIFO writes while TA was 0).
    pub control_words: u32,
}

#[derive(Debug)]
pub(crate) struct Spi {
    cs: Cs,
    clk: u32,
    dlen: u32,
    ltoh: u32,
    dc: Dc,
    pub(crate) tx: Fifo,
    pub(crate) rx: Fifo,
    mosi: u8,
    /// When the byte in the shifter ends. [`NEVER`] while the shifter is idle.
    pub(crate) end: Tick,
    /// The last clock edge of that byte. An idle clock may follow.
    last_edge: Tick,
    /// A DMA transfer has ended and DONE was not written back. The next transfer does not start
    /// (mainline's driver works around this).
    stale_done: bool,
    /// ADCS has deactivated chip select.
    auto_off: bool,
    /// The lines that are active now, one bit each.
    selected: u8,
    lines: [Line; LINES],
    counts: SpiCounts,
}

/// The parts of the board that the shifter uses.
pub(crate) struct Wires<'a, S> {
    pub(crate) slaves: &'a mut S,
    pub(crate) clock: &'a CoreClock,
    pub(crate) faults: &'a mut Faults,
}

impl Spi {
    pub(crate) const fn new() -> Self {
        Self {
            cs: Cs(Cs::RESET),
            clk: 0,
            dlen: 0,
            ltoh: 1,
            dc: Dc(Dc::RESET),
            tx: Fifo::new(),
            rx: Fifo::new(),
            mosi: 0,
            end: NEVER,
            last_edge: 0,
            stale_done: false,
            auto_off: false,
            selected: 0,
            lines: [Line::FRESH; LINES],
            counts: SpiCounts {
                shifted: 0,
                overruns: 0,
                underruns: 0,
                garbled: 0,
                aborted: 0,
                control_words: 0,
            },
        }
    }

    pub(crate) const fn counts(&self) -> SpiCounts {
        self.counts
    }

    pub(crate) fn chip_select(&self, line: u8, clock: &CoreClock) -> ChipSelect {
        let active = self.selected & 1u8.wrapping_shl(line.into()) != 0;
        self.lines
            .get(usize::from(line))
            .map_or_else(ChipSelect::default, |seen| seen.report(active, clock))
    }

    fn idle(&self) -> bool {
        self.end == NEVER
    }

    pub(crate) fn shifting(&self) -> bool {
        !self.idle()
    }

    pub(crate) fn transfer_active(&self) -> bool {
        self.cs.ta()
    }

    /// The core clocks of one SCLK period. CDIV is even: an odd value is rounded down, and 0 means
    /// 65536.
    fn divider(&self) -> u64 {
        match u64::from(self.clk & 0xfffe) {
            0 => 0x1_0000,
            even => even,
        }
    }

    /// The core clocks from the start of one byte to the start of the next. In polled mode a ninth,
    /// idle clock follows each byte, unless DLEN is 2 or more.
    pub(crate) fn byte_ticks(&self) -> u64 {
        let bits = if self.cs.dmaen() || self.dlen >= 2 {
            8
        } else {
            9
        };
        self.divider().wrapping_mul(bits)
    }

    pub(crate) fn dma_mode(&self) -> bool {
        self.cs.dmaen()
    }

    /// Whether a transfer in DMA mode is active that only a lack of data, a full FIFO or DLEN can
    /// stop.
    pub(crate) fn free_running(&self) -> bool {
        self.cs.dmaen() && self.cs.ta() && !self.stale_done
    }

    pub(crate) fn remaining(&self) -> u32 {
        self.dlen
    }

    fn done(&self) -> bool {
        let empty = if self.cs.dmaen() {
            self.dlen == 0
        } else {
            self.tx.is_empty()
        };
        self.cs.ta() && self.idle() && empty
    }

    fn rxr(&self) -> bool {
        self.cs.ta() && self.rx.len() >= RXR_LEVEL
    }

    pub(crate) fn irq(&self) -> bool {
        self.cs.intd() && self.done() || self.cs.intr() && self.rxr()
    }

    pub(crate) fn irq_on_done(&self) -> bool {
        self.cs.intd()
    }

    pub(crate) fn irq_on_rxr(&self) -> bool {
        self.cs.intr()
    }

    pub(crate) fn tdreq(&self) -> usize {
        usize::from(self.dc.tdreq())
    }

    pub(crate) fn rdreq(&self) -> usize {
        usize::from(self.dc.rdreq())
    }

    /// Whether the TX DREQ is high. Erratum: it is, too, after DLEN has reached 0.
    pub(crate) fn tx_dreq(&self) -> bool {
        self.cs.dmaen() && self.tx.len() <= self.tdreq()
    }

    /// Whether the RX DREQ is high: the level is above the threshold, or the transfer is over and
    /// bytes are left.
    pub(crate) fn rx_dreq(&self) -> bool {
        let over = self.dlen == 0 && self.idle() && !self.rx.is_empty();
        self.cs.dmaen() && (self.rx.len() > self.rdreq() || over)
    }

    /// Whether reading the register at `offset` changes state.
    pub(crate) const fn read_changes(offset: u32) -> bool {
        offset == regs::FIFO
    }

    /// Reads a register at `t`. A read of the FIFO makes room, so a stalled shifter continues.
    pub(crate) fn read(&mut self, t: Tick, offset: u32) -> u32 {
        match offset {
            regs::CS => self.status(),
            regs::FIFO => {
                let word = self.pop();
                self.begin(t);
                word
            }
            regs::CLK => self.clk,
            regs::DLEN => self.dlen,
            regs::LTOH => self.ltoh,
            regs::DC => self.dc.0,
            _ => 0,
        }
    }

    fn status(&self) -> u32 {
        let mut cs = self.cs;
        cs.set_done(self.done());
        cs.set_rxd(!self.rx.is_empty());
        cs.set_txd(!self.tx.is_full());
        cs.set_rxr(self.rxr());
        cs.set_rxf(self.rx.is_full());
        cs.0
    }

    fn pop(&mut self) -> u32 {
        if self.rx.is_empty() {
            self.counts.underruns = self.counts.underruns.saturating_add(1);
        }
        let width = if self.cs.dmaen() { 4 } else { 1 };
        let mut word = [0; 4];
        for byte in word.iter_mut().take(width) {
            *byte = self.rx.pop().unwrap_or(0);
        }
        u32::from_le_bytes(word)
    }

    /// Writes a register at `t`. If the write starts a byte, the byte has begun when this returns.
    pub(crate) fn write<S: Slaves>(
        &mut self,
        t: Tick,
        offset: u32,
        value: u32,
        wires: &mut Wires<'_, S>,
    ) {
        match offset {
            regs::CS => self.write_cs(t, Cs(value), wires),
            regs::FIFO if self.cs.ta() => self.push(value),
            regs::FIFO => self.control(t, value, wires),
            regs::CLK => self.clk = value & 0xffff,
            regs::DLEN => self.dlen = value & 0xffff,
            regs::LTOH => self.ltoh = value & 0xf,
            regs::DC => self.dc = Dc(value),
            _ => {}
        }
        self.begin(t);
    }

    fn write_cs<S: Slaves>(&mut self, t: Tick, value: Cs, wires: &mut Wires<'_, S>) {
        let was = self.cs;
        if value.clear_tx() {
            self.tx.clear();
        }
        if value.clear_rx() {
            self.rx.clear();
        }
        if value.done() {
            self.stale_done = false;
        }
        self.cs = Cs(value.0 & Cs::STORED);
        if was.dmaen() != self.cs.dmaen() && !(self.tx.is_empty() && self.rx.is_empty()) {
            self.tx.garble();
            self.rx.garble();
            self.counts.garbled = self.counts.garbled.saturating_add(1);
        }
        if !self.cs.ta() && !self.idle() {
            self.end = NEVER;
            self.counts.aborted = self.counts.aborted.saturating_add(1);
        }
        self.auto_off = false;
        self.drive_lines(t, wires);
    }

    /// Takes a FIFO write while TA is 0 as a control word (10.6.3): DLEN, CS[7:0] and the line
    /// polarities.
    fn control<S: Slaves>(&mut self, t: Tick, word: u32, wires: &mut Wires<'_, S>) {
        self.counts.control_words = self.counts.control_words.saturating_add(1);
        self.dlen = word >> 16;
        self.write_cs(t, self.cs.controlled_by(word), wires);
    }

    fn push(&mut self, value: u32) {
        let width = if self.cs.dmaen() {
            self.data_bytes()
        } else {
            1
        };
        for byte in value.to_le_bytes().into_iter().take(width) {
            if !self.tx.push(byte) {
                self.counts.overruns = self.counts.overruns.saturating_add(1);
            }
        }
    }

    /// How many bytes of the next word are data. The last word of a transfer may have fewer than
    /// four. A word that is written after DLEN is reached goes into the FIFO whole.
    fn data_bytes(&self) -> usize {
        let taken = self.tx.len().wrapping_add(usize::from(!self.idle()));
        let dlen = usize::try_from(self.dlen).unwrap_or(usize::MAX);
        match dlen.saturating_sub(taken) {
            0 => 4,
            left => left.min(4),
        }
    }
}
