// SPDX-License-Identifier: GPL-2.0-only

//! What a controller is made of, and its limits.

use super::job;
use core::convert::Infallible;
use core::num::NonZeroU32;
use oob::time::Ns;
use oob_dma::DescriptorMemory;

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
