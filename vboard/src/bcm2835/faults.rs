// SPDX-License-Identifier: GPL-2.0-only

//! The faults that a test can inject.

use crate::bcm2835::irq::IrqLine;

/// The injected faults. The default is none.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// SPI0's TX DREQ stays low.
    pub spi_tx_dreq_stuck: bool,
    /// SPI0's RX DREQ stays low.
    pub spi_rx_dreq_stuck: bool,
    /// Every DMA access that touches this bus address ends in a bus error.
    pub bus_error_at: Option<u32>,
    /// The next `.1` assertions of line `.0` do not reach the processor. The status bits in the
    /// registers are set as usual.
    pub lost_irqs: Option<(IrqLine, u32)>,
    /// Bit errors on MISO.
    pub miso_noise: Option<Noise>,
    /// One bit for each DMA channel: its fetch or access in flight never ends, until the channel is
    /// reset.
    pub hung_channels: u16,
}

impl Faults {
    /// Whether an injected fault can stop DMA.
    pub(crate) const fn may_stop_dma(&self) -> bool {
        self.spi_tx_dreq_stuck
            || self.spi_rx_dreq_stuck
            || self.bus_error_at.is_some()
            || self.hung_channels != 0
    }
}

/// Random single-bit errors. The same seed gives the same errors.
#[derive(Clone, Copy, Debug)]
pub struct Noise {
    state: u64,
    one_in: u32,
}

impl Noise {
    /// Flips one bit in about one of `one_in` bytes.
    pub const fn new(seed: u64, one_in: u32) -> Self {
        // The generator's state must not be zero.
        Self {
            state: seed ^ 0x9e37_79b9_7f4a_7c15 | 1,
            one_in,
        }
    }

    pub(crate) fn apply(&mut self, byte: u8) -> u8 {
        // xorshift64 (Marsaglia, 2003).
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        let draw = (self.state >> 32) as u32;
        match draw.checked_rem(self.one_in) {
            Some(0) => byte ^ (1 << (self.state & 7)),
            _ => byte,
        }
    }
}
