// SPDX-License-Identifier: GPL-2.0-only

//! The SPI controller.
//!
//! ```text
//!  job.rs         what is known of a chip select before its first frame: CS word, divider, wire time, path, buffers
//!  registers.rs        registers and lines: program, select, deselect, wait
//!  fifo.rs        bytes through the FIFO, spinning
//!  controller.rs  oob: prepare, pulse, finish                inband.rs  set_cs, transfer
//!
//!  FIFO frame:  [line on] CS<-TA [set-up] FIFO<-len bytes, until CS.DONE, len bytes<-FIFO [hold] [line off] CS<-DONE
//!  DMA frame:   CS<-clear, DLEN<-len, [line on] CS<-TA|DMAEN [set-up] RX channel on, TX channel on
//!               ... RX channel's interrupt ...  [hold] [line off] CS<-DONE|clear, DLEN<-0
//! ```
//!
//! Rules:
//! - **Path.** A frame goes through the FIFO where it fits in ([`regs::FIFO_LEN`]) and takes at most [`SPIN_MAX`] on the
//!   wire; any other by DMA. A controller without DMA moves every frame through the FIFO, refilling it, and takes
//!   frames of at most [`FIFO_FRAME_MAX`] bytes then.
//! - **Waiting.** A thread of either stage sleeps through each wait that is expected to be longer than [`SPIN_MAX`]: until
//!   the FIFO has to be served again, and through a chip select's delay. Shorter ones are spun, and so is the wait of
//!   an oob frame that takes at most [`FRAME_SPIN_MAX`] on the wire, because a sleep by date costs two schedules and no
//!   interrupt ends it. (So a frame is spun out whole from 12.8 MHz on, where the FIFO has to be served again within 30 us;
//!   the longest one takes 2.6 ms there.) A handler spins, for at most `Prepared::spin`, whatever the hardware does.
//! - **Between frames** both FIFOs are empty, TA and DMAEN are 0, DONE has been written back and no line is active. Every
//!   path out of a frame, failures included, ends there; every frame relies on it. A write to the FIFO with TA at 0
//!   would be taken for a control word, so TA is set first, always.
//! - **FIFO order.** At most [`regs::FIFO_LEN`] bytes are between TX FIFO, shifter and RX FIFO. So neither FIFO can run
//!   over, and no flag is read per byte.
//! - **DLEN** is written before every DMA frame, because the frame counts it down. For FIFO frames it is 2, which
//!   makes bytes follow each other after 8 clocks and not 9.
//! - **DMA lengths** are the frame's, rounded up to a word; the controller sends no byte beyond DLEN. The frame memory
//!   has to provide that: each of its three areas starts at a multiple of 4 of the bus address and has room for the
//!   frame's length rounded up to 4, which areas of whole cache lines do. The rounding bytes of the RX area are
//!   overwritten.
//! - **Chip select** is a native line, asserted by TA, or a [`CsLine`] where one is given; then, and for
//!   `MODE_NO_CS`, no native line is selected. A native line is active low in DMA mode: its polarity bits have been
//!   measured to do nothing there. So frames by DMA are refused for an active-high line, and beside one whose chip
//!   select is in oob mode, too: they would select it.

mod controller;
mod fifo;
mod inband;
mod job;
mod registers;
pub mod regs;

use core::convert::Infallible;
use core::fmt;
use core::num::NonZeroU32;
use job::Job;
use oob::io::Mmio;
use oob::time::{Clock, Ns};
use oob_dma::{Channel, DescriptorMemory};
use registers::Registers;

/// Longest wait that a thread spins: above it a frame goes by DMA, and a wait is slept.
pub const SPIN_MAX: Ns = Ns(30_000);
/// Longest time on the wire of an oob frame that is spun out although it has a longer wait than that: 64 bytes at 10 MHz
/// take 53 us.
pub const FRAME_SPIN_MAX: Ns = Ns(60_000);
/// Longest frame, in bytes, of a controller without DMA.
pub const FIFO_FRAME_MAX: u32 = 4096;
/// Longest frame, in bytes, by DMA: the words that 16 bits of DLEN, and a lite channel, can count.
pub const DMA_FRAME_MAX: u32 = 65_532;
/// Most chip selects, native lines and GPIO lines together.
pub const MAX_CHIP_SELECTS: usize = 8;
/// Descriptor memory, in slots of the channel, that [`Dma::memory`] needs.
pub const SLOTS: usize = MAX_CHIP_SELECTS * job::SLOTS;

/// A chip-select line that is not the controller's own.
pub trait CsLine {
    /// Drives the line. The line knows which level is active. Never sleeps; has taken effect on return.
    fn set(&self, active: bool);
}

/// For a controller without such lines.
impl CsLine for Infallible {
    fn set(&self, _active: bool) {
        match *self {}
    }
}

/// The DMA side of a controller.
#[derive(Debug)]
pub struct Dma<D> {
    /// Feeds the TX FIFO.
    pub tx: D,
    /// Empties the RX FIFO. Its interrupt says that a frame is complete.
    pub rx: D,
    /// Request line of the TX FIFO (SPI0: 6).
    pub tx_request: u8,
    /// Request line of the RX FIFO (SPI0: 7).
    pub rx_request: u8,
    /// Bus address of the FIFO register (SPI0: 0x7e204004).
    pub fifo: u64,
    /// Room for [`SLOTS`] descriptors.
    pub memory: DescriptorMemory,
}

/// What a controller is made of.
#[derive(Debug)]
pub struct Parts<M, C, D, L> {
    /// The SPI block's registers.
    pub mmio: M,
    /// The clock that delays and time limits are measured by.
    pub clock: C,
    /// The core clock, in Hz, that the divider divides. It has to stay what it is.
    pub core_hz: NonZeroU32,
    /// How many chip selects there are. Those from the fourth on need a line.
    pub chip_selects: u8,
    /// Lines that take the place of the native ones, by chip select.
    pub lines: [Option<L>; MAX_CHIP_SELECTS],
    /// DMA, where there is any.
    pub dma: Option<Dma<D>>,
}

/// The controller.
pub struct Spi<M, C, D: Channel, L> {
    registers: Registers<M, C, L>,
    core_hz: NonZeroU32,
    chip_selects: u8,
    dma: Option<Dma<D>>,
    jobs: [Option<Job<D::Descriptor>>; MAX_CHIP_SELECTS],
    /// The chip select whose CS word, divider and DLEN the registers hold.
    programmed: Option<u8>,
    /// The chip select that an in-band message keeps active.
    held: Option<u8>,
}

impl<M, C, D: Channel, L> fmt::Debug for Spi<M, C, D, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spi")
            .field("core_hz", &self.core_hz)
            .field("chip_selects", &self.chip_selects)
            .field("dma", &self.dma.is_some())
            .field("programmed", &self.programmed)
            .finish_non_exhaustive()
    }
}

impl<M: Mmio, C: Clock, D: Channel, L: CsLine> Spi<M, C, D, L> {
    /// Takes the block over and puts it to rest. Chip selects that are neither native nor have a line are left out,
    /// with all behind them.
    pub fn new(parts: Parts<M, C, D, L>) -> Self {
        let usable = (0..regs::NATIVE_LINES)
            .map(Some)
            .chain(core::iter::repeat(None))
            .zip(&parts.lines)
            .take_while(|(native, line)| native.is_some() || line.is_some())
            .zip(1..=parts.chip_selects)
            .last()
            .map_or(0, |(_, count)| count);
        let mut spi = Self {
            registers: Registers::new(parts.mmio, parts.clock, parts.lines),
            core_hz: parts.core_hz,
            chip_selects: usable,
            dma: parts.dma,
            jobs: [const { None }; MAX_CHIP_SELECTS],
            programmed: None,
            held: None,
        };
        spi.quiesce();
        spi
    }

    /// Stops whatever is under way; afterwards everything is as between frames, and nothing is programmed.
    fn quiesce(&mut self) {
        if let Some(dma) = &self.dma {
            dma.tx.abort(&self.registers.clock);
            dma.rx.abort(&self.registers.clock);
            // Errors of the past are nobody's.
            let _ = (dma.tx.take_fault(), dma.rx.take_fault());
        }
        self.registers.rest();
        self.programmed = None;
        self.held = None;
    }

    fn has_chip_select(&self, chip_select: u8) -> bool {
        chip_select < self.chip_selects
    }
}
