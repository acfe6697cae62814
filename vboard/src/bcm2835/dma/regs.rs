// SPDX-License-Identifier: GPL-2.0-only

//! Registers of the DMA controller ("BCM2835 ARM Peripherals", chapter 4.2.1) and its control block
//! (4.2.1.1).

use bitfield::bitfield;

/// Channel offset of CS.
pub(crate) const CS: u32 = 0x00;
/// Channel offset of CONBLK_AD.
pub(crate) const CONBLK_AD: u32 = 0x04;
/// Channel offset of TI.
pub(crate) const TI: u32 = 0x08;
/// Channel offset of SOURCE_AD.
pub(crate) const SOURCE_AD: u32 = 0x0c;
/// Channel offset of DEST_AD.
pub(crate) const DEST_AD: u32 = 0x10;
/// Channel offset of TXFR_LEN.
pub(crate) const TXFR_LEN: u32 = 0x14;
/// Channel offset of STRIDE.
pub(crate) const STRIDE: u32 = 0x18;
/// Channel offset of NEXTCONBK.
pub(crate) const NEXTCONBK: u32 = 0x1c;
/// Channel offset of DEBUG.
pub(crate) const DEBUG: u32 = 0x20;
/// Block offset of INT_STATUS.
pub(crate) const INT_STATUS: u32 = 0xfe0;
/// Block offset of ENABLE.
pub(crate) const ENABLE: u32 = 0xff0;

bitfield! {
    /// Control and status of a channel.
    #[derive(Clone, Copy, PartialEq, Eq)]
    pub(crate) struct Cs(u32);
    impl Debug;
    u8;
    /// The channel runs.
    pub(crate) active, set_active: 0;
    /// A control block has ended. Writing 1 clears the bit.
    pub(crate) end, set_end: 1;
    /// A control block with INTEN has ended. Writing 1 clears the bit.
    pub(crate) int, set_int: 2;
    /// The state of the DREQ that PERMAP selects.
    pub(crate) _, set_dreq: 3;
    /// A control block is loaded and the channel is not active.
    pub(crate) _, set_paused: 4;
    /// The channel waits for DREQ.
    pub(crate) _, set_dreq_stops_dma: 5;
    /// An access is still outstanding.
    pub(crate) _, set_waiting_for_outstanding_writes: 6;
    /// An error bit of DEBUG is set.
    pub(crate) _, set_error: 8;
    /// One-shot: drops this control block and starts the next.
    pub(crate) abort, _: 30;
    /// One-shot: resets the channel.
    pub(crate) reset, _: 31;
}

impl Cs {
    /// PRIORITY, PANIC_PRIORITY, WAIT_FOR_OUTSTANDING_WRITES, DISDEBUG: stored, without effect in
    /// the model.
    pub(crate) const STORED: u32 = 0x30ff_0000;
}

bitfield! {
    /// Transfer information: the first word of a control block.
    #[derive(Clone, Copy, PartialEq, Eq)]
    pub(crate) struct Ti(u32);
    impl Debug;
    u8;
    /// Raise INT at the end.
    pub(crate) inten, _: 0;
    /// Rows and stride (full channels).
    pub(crate) tdmode, _: 1;
    /// Wait for the answer to each write.
    pub(crate) wait_resp, _: 3;
    /// The destination advances.
    pub(crate) dest_inc, _: 4;
    /// The peripheral paces writes.
    pub(crate) dest_dreq, _: 6;
    /// Write nothing (full channels).
    pub(crate) dest_ignore, _: 7;
    /// The source advances.
    pub(crate) src_inc, _: 8;
    /// The peripheral paces reads.
    pub(crate) src_dreq, _: 10;
    /// Read nothing, supply zeroes (full channels).
    pub(crate) src_ignore, _: 11;
    /// The peripheral whose DREQ paces the channel.
    pub(crate) permap, _: 20, 16;
    /// Dummy cycles after each access.
    pub(crate) waits, _: 25, 21;
}

impl Ti {
    /// The bits that exist.
    pub(crate) const VALID: u32 = 0x07ff_fffb;
    /// TDMODE, DEST_IGNORE, SRC_IGNORE, which lite channels lack (4.5).
    pub(crate) const FULL_ONLY: u32 = 1 << 1 | 1 << 7 | 1 << 11;
}

bitfield! {
    /// Errors of a channel, and its kind.
    #[derive(Clone, Copy, PartialEq, Eq)]
    pub(crate) struct Debug(u32);
    impl Debug;
    u8;
    /// A bus access ended in an error. Writing 1 clears the bit.
    pub(crate) _, set_read_error: 2;
    /// A lite channel.
    pub(crate) _, set_lite: 28;
}

impl Debug {
    /// READ_LAST_NOT_SET_ERROR, FIFO_ERROR, READ_ERROR.
    pub(crate) const ERRORS: u32 = 0x7;
}
