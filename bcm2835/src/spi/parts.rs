// SPDX-License-Identifier: GPL-2.0-only

//! What a controller is made of, and its limits.

use super::job;
use core::convert::Infallible;
use core::num::NonZeroU32;
use oob::time::Ns;
use oob_dma::DescriptorMemory;

/// Longest wait that a thread spins through. DMA moves a frame that takes longer, and a thread
/// sleeps through a longer wait.
pub const SPIN_MAX: Ns = Ns(30_000);
/// Longest time on the wire of an oob frame whose waits are spun through although they are longer
/// than that: 64 bytes at 10 MHz take 53 us.
pub const FRAME_SPIN_MAX: Ns = Ns(60_000);
/// Longest frame, in bytes, of a controller without DMA.
pub const FIFO_FRAME_MAX: u32 = 4096;
/// Longest frame, in bytes, by DMA: 16 bits of DLEN, and of a lite channel, count no more whole
/// words.
pub const DMA_FRAME_MAX: u32 = 65_532;
/// Most chip selects, native lines and GPIO lines together.
pub const MAX_CHIP_SELECTS: usize = 8;
/// Descriptor memory, in slots of the channel, that [`Dma::memory`] needs.
pub const SLOTS: usize = MAX_CHIP_SELECTS * job::SLOTS;

/// A chip-select line that is not the controller's own.
pub trait CsLine {
    /// Drives the line, which knows which level is active. Never sleeps. It has taken effect on
    /// return.
    fn set(&self, active: bool);
}

/// A controller without such lines.
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
    /// Empties the RX FIFO. Its interrupt reports that a frame is complete.
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
    /// The clock for delays and time limits.
    pub clock: C,
    /// The core clock, in Hz, which the divider divides. It must not change.
    pub core_hz: NonZeroU32,
    /// The number of chip selects. Those from the fourth on need a GPIO line.
    pub chip_selects: u8,
    /// GPIO lines that replace the native ones, by chip select.
    pub lines: [Option<L>; MAX_CHIP_SELECTS],
    /// DMA, where the controller has it.
    pub dma: Option<Dma<D>>,
}
