// SPDX-License-Identifier: GPL-2.0-only

//! Registers of SPI0 ("BCM2835 ARM Peripherals", chapter 10.5).

use bitfield::bitfield;

/// Offset of CS.
pub(crate) const CS: u32 = 0x00;
/// Offset of FIFO.
pub(crate) const FIFO: u32 = 0x04;
/// Offset of CLK.
pub(crate) const CLK: u32 = 0x08;
/// Offset of DLEN.
pub(crate) const DLEN: u32 = 0x0c;
/// Offset of LTOH.
pub(crate) const LTOH: u32 = 0x10;
/// Offset of DC.
pub(crate) const DC: u32 = 0x14;

bitfield! {
    /// Control and status.
    #[derive(Clone, Copy, PartialEq, Eq)]
    pub(crate) struct Cs(u32);
    impl Debug;
    u8;
    /// Native chip select. 3 selects none.
    pub(crate) chip_select, _: 1, 0;
    /// One-shot: empties the transmit FIFO.
    pub(crate) clear_tx, _: 4;
    /// One-shot: empties the receive FIFO.
    pub(crate) clear_rx, _: 5;
    /// Chip-select polarity, all lines.
    pub(crate) cspol, _: 6;
    /// Transfer active.
    pub(crate) ta, _: 7;
    /// 32-bit FIFO accesses and DREQ.
    pub(crate) dmaen, _: 8;
    /// Interrupt while DONE is set.
    pub(crate) intd, _: 9;
    /// Interrupt while RXR is set.
    pub(crate) intr, _: 10;
    /// Chip select becomes inactive when DLEN reaches 0.
    pub(crate) adcs, _: 11;
    /// The transfer is active and nothing is left to shift out.
    pub(crate) done, set_done: 16;
    /// The receive FIFO holds a byte.
    pub(crate) _, set_rxd: 17;
    /// The transmit FIFO has room for a byte.
    pub(crate) _, set_txd: 18;
    /// The receive FIFO is three quarters full.
    pub(crate) _, set_rxr: 19;
    /// The receive FIFO is full.
    pub(crate) _, set_rxf: 20;
    /// Chip-select polarity of lines 2 to 0.
    pub(crate) cspol_lines, _: 23, 21;
}

impl Cs {
    /// The bits that a write stores: all up to bit 25 but the one-shot bits and the status bits.
    pub(crate) const STORED: u32 = 0x03e0_3fcf;
    /// The value after reset: REN alone.
    pub(crate) const RESET: u32 = 1 << 12;
    /// The bits that a control word sets: CS bits 7 to 0 and the three line polarities.
    const CONTROL: u32 = 0x00e0_00ff;

    /// The value after a control word ("10.6.3 DMA"): bits 7:0 go to CS[7:0], bits 10:8 to the line
    /// polarities.
    pub(crate) const fn controlled_by(self, word: u32) -> Self {
        Self(self.0 & !Self::CONTROL | word & 0xff | (word & 0x700) << 13)
    }
}

bitfield! {
    /// DREQ thresholds, in bytes.
    #[derive(Clone, Copy, PartialEq, Eq)]
    pub(crate) struct Dc(u32);
    impl Debug;
    u8;
    /// The TX DREQ is high while the level is at most this.
    pub(crate) tdreq, _: 7, 0;
    /// The RX DREQ is high while the level is above this.
    pub(crate) rdreq, _: 23, 16;
}

impl Dc {
    pub(crate) const RESET: u32 = 0x3020_1020;
}
