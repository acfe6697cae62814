// SPDX-License-Identifier: GPL-2.0-only

//! Registers of the SPI block.
//!
//! ```text
//!  0x00 CS    control and status          0x0c DLEN  bytes of a DMA transfer
//!  0x04 FIFO  write TX, read RX           0x10 LTOH  LoSSI only, unused
//!  0x08 CLK   clock divider               0x14 DC    DMA request thresholds, left at reset
//! ```
//!
//! Source: "BCM2835 ARM Peripherals", chapter 10, and the errata to it. Where the two differ, the
//! field says so.

use bitfield::bitfield;

/// Offset of [`Cs`].
pub const CS: usize = 0x00;
/// Offset of the FIFO ("BCM2835 ARM Peripherals", 10.5, FIFO): bytes while DMAEN is 0, words while
/// it is 1; a write while TA is 0 is a control word and not data.
pub const FIFO: usize = 0x04;
/// Offset of [`Clk`].
pub const CLK: usize = 0x08;
/// Offset of [`Dlen`].
pub const DLEN: usize = 0x0c;

/// Bytes that each FIFO holds.
pub const FIFO_LEN: usize = 64;
/// Bytes in the RX FIFO when [`Cs::rxr`] rises.
pub const RXR_LEN: usize = 48;
/// The value of CS\[1:0\] that selects no native line.
pub const NO_LINE: u32 = 3;
/// Native chip selects.
pub const NATIVE_LINES: u8 = 3;

bitfield! {
    /// CS: control and status ("BCM2835 ARM Peripherals", 10.5, CS).
    #[derive(Clone, Copy, PartialEq, Eq)]
    pub struct Cs(u32);
    impl Debug;
    u32;
    /// CS: native chip select; 3 is none.
    pub line, set_line: 1, 0;
    /// CPHA: sample on the second clock edge.
    pub cpha, set_cpha: 2;
    /// CPOL: clock idles high.
    pub cpol, set_cpol: 3;
    /// CLEAR, bit 4: empties the TX FIFO; one-shot.
    pub clear_tx, set_clear_tx: 4;
    /// CLEAR, bit 5: empties the RX FIFO; one-shot.
    pub clear_rx, set_clear_rx: 5;
    /// TA: transfer active; asserts the native chip select and lets the shifter run.
    pub ta, set_ta: 7;
    /// DMAEN: DMA requests and the 32-bit FIFO.
    pub dmaen, set_dmaen: 8;
    /// DONE: everything written has been shifted out; rises only with TA. The manual says
    /// read-only, but it has to be written back as 1 after a transfer, or later transfers fail.
    pub done, set_done: 16;
    /// RXD: the RX FIFO holds a byte.
    pub rxd, _: 17;
    /// TXD: the TX FIFO takes a byte.
    pub txd, _: 18;
    /// RXR: the RX FIFO is three quarters full.
    pub rxr, _: 19;
    /// CSPOL2..0: set where that native chip select is active high. Applies to idle lines, too.
    pub active_high, set_active_high: 23, 21;
}

bitfield! {
    /// CLK: clock divider ("BCM2835 ARM Peripherals", 10.5, CLK; errata: a multiple of 2, not a
    /// power of 2).
    #[derive(Clone, Copy, PartialEq, Eq)]
    pub struct Clk(u32);
    impl Debug;
    u32;
    /// CDIV: core clock over SPI clock; even; 0 is 65536.
    pub cdiv, set_cdiv: 15, 0;
}

bitfield! {
    /// DLEN: bytes of a DMA transfer ("BCM2835 ARM Peripherals", 10.5, DLEN).
    ///
    /// With DMAEN off it starts nothing, but selects whether bytes are 8 clocks apart (2 and more)
    /// or 9 (0 and 1).
    #[derive(Clone, Copy, PartialEq, Eq)]
    pub struct Dlen(u32);
    impl Debug;
    u32;
    /// LEN: bytes; counts down to 0.
    pub bytes, set_bytes: 15, 0;
}
