// SPDX-License-Identifier: GPL-2.0-only

//! Registers of a DMA channel, and its control block.
//!
//! ```text
//!  0x00 CS          control and status       0x10 DEST_AD  \
//!  0x04 CONBLK_AD   control block, 0 = idle  0x14 TXFR_LEN  > copies of the control block
//!  0x08 TI        \ copies of the            0x18 STRIDE   /
//!  0x0c SOURCE_AD / control block            0x1c NEXTCONBK
//!                                            0x20 DEBUG    errors, version
//! ```
//!
//! Source: "BCM2835 ARM Peripherals", chapter 4, and the errata to it.

use bitfield::bitfield;

/// Offset of [`Cs`].
pub const CS: usize = 0x00;
/// Offset of CONBLK_AD ("BCM2835 ARM Peripherals", 4.2.1.2, CONBLK_AD): bus address of the control
/// block, 32-byte aligned. It is 0 when the channel has nothing left to do, and nothing else tells
/// that reliably.
pub const CONBLK_AD: usize = 0x04;
/// Offset of TXFR_LEN ("BCM2835 ARM Peripherals", 4.2.1.2, TXFR_LEN): bytes that the control block
/// has left.
pub const TXFR_LEN: usize = 0x14;
/// Offset of [`struct@Debug`].
pub const DEBUG: usize = 0x20;

/// Longest transfer of one control block of a lite channel: 16 bits, kept to whole words.
pub const LITE_MAX_LEN: u32 = 65_532;
/// Longest transfer of one control block of a full channel: 30 bits, kept to whole words.
pub const FULL_MAX_LEN: u32 = (1 << 30) - 4;

bitfield! {
    /// CS: control and status ("BCM2835 ARM Peripherals", 4.2.1.2, CS).
    #[derive(Clone, Copy, PartialEq, Eq)]
    pub struct Cs(u32);
    impl Debug;
    u32;
    /// ACTIVE: the channel runs while this is 1; writing 0 pauses it.
    pub active, set_active: 0;
    /// END: a control block has finished; write 1 to clear.
    pub end, set_end: 1;
    /// INT: a control block with INTEN has finished; write 1 to clear.
    pub int, set_int: 2;
    /// WAITING_FOR_OUTSTANDING_WRITES: writes are still outstanding.
    pub writing, _: 6;
    /// RESET: write 1 to reset the channel; one-shot.
    pub reset, set_reset: 31;
}

bitfield! {
    /// DEBUG: errors and version ("BCM2835 ARM Peripherals", 4.2.1.2, DEBUG).
    #[derive(Clone, Copy, PartialEq, Eq)]
    pub struct Debug(u32);
    impl Debug;
    u32;
    /// READ_LAST_NOT_SET_ERROR; write 1 to clear.
    pub read_last, set_read_last: 0;
    /// FIFO_ERROR; write 1 to clear.
    pub fifo, set_fifo: 1;
    /// READ_ERROR; write 1 to clear.
    pub read, set_read: 2;
    /// LITE: a channel with 16-bit lengths, no stride and no SRC_IGNORE or DEST_IGNORE.
    pub lite, set_lite: 28;
}

bitfield! {
    /// TI: transfer information, the first word of a control block ("BCM2835 ARM Peripherals",
    /// 4.2.1.2, TI).
    #[derive(Clone, Copy, PartialEq, Eq)]
    pub struct Ti(u32);
    impl Debug;
    u32;
    /// INTEN: interrupt at the end.
    pub inten, set_inten: 0;
    /// WAIT_RESP: one write at a time, each waited for.
    pub wait_resp, set_wait_resp: 3;
    /// DEST_INC: the destination's address counts up.
    pub dest_inc, set_dest_inc: 4;
    /// DEST_DREQ: writes wait for the request line.
    pub dest_dreq, set_dest_dreq: 6;
    /// SRC_INC: the source's address counts up.
    pub src_inc, set_src_inc: 8;
    /// SRC_DREQ: reads wait for the request line.
    pub src_dreq, set_src_dreq: 10;
    /// PERMAP: the request line.
    pub permap, set_permap: 20, 16;
}

/// A control block ("BCM2835 ARM Peripherals", 4.2.1.1), as it lies in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(32))]
pub struct ControlBlock {
    /// TI, see [`Ti`].
    pub ti: u32,
    /// SOURCE_AD: bus address.
    pub source: u32,
    /// DEST_AD: bus address.
    pub dest: u32,
    /// TXFR_LEN: bytes.
    pub len: u32,
    /// STRIDE: 2D mode only, 0 here.
    pub stride: u32,
    /// NEXTCONBK: bus address of the next control block, 0 for none.
    pub next: u32,
    /// Must be 0.
    pub reserved: [u32; 2],
}

const _: () = assert!(size_of::<ControlBlock>() == 32);
