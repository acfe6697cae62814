// SPDX-License-Identifier: GPL-2.0-only

//! What QEMU's models do otherwise, and why that is no defect of ours: the one list. Checked against QEMU 10.0.2.
//!
//! Most of it was known from QEMU's source and from drivers that were tried there. Found by this comparison, and looked up in
//! that source then: the reserved bits of CS, when RXR is computed, ENABLE's bit 15, rows without length, NEXTCONBK while a
//! channel is not paused, and RESET with INT set.

use std::fmt;
use vboard::bcm2835::board::Block;

/// What the comparer knows of the sequence so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Context {
    /// CS as last written.
    pub(crate) cs: u32,
    /// Bytes wait behind a receive FIFO that has been read or cleared since the last FIFO access moved them.
    pub(crate) lag: bool,
    /// TA was cleared since the last FIFO access.
    pub(crate) ta_fell: bool,
    /// The channel's last control block was one of rows.
    pub(crate) rows: bool,
}

pub(crate) enum Scope {
    /// These bits of this register (of every channel, for DMA) are not compared while the condition holds.
    Bits(Block, u32, u32, fn(&Context) -> bool),
    /// Never played: the two would differ for good from there on.
    NotPlayed,
}

pub(crate) struct Known {
    pub(crate) scope: Scope,
    pub(crate) what: &'static str,
}

const TA: u32 = 1 << 7;
const DMAEN: u32 = 1 << 8;

fn always(_: &Context) -> bool {
    true
}

const fn bits(
    block: Block,
    register: u32,
    mask: u32,
    when: fn(&Context) -> bool,
    what: &'static str,
) -> Known {
    Known {
        scope: Scope::Bits(block, register, mask, when),
        what,
    }
}

const fn not_played(what: &'static str) -> Known {
    Known {
        scope: Scope::NotPlayed,
        what,
    }
}

/// The list.
pub(crate) const KNOWN: &[Known] = &[
    bits(
        Block::Spi0,
        0x00,
        0x30,
        always,
        "SPI CS: CLEAR_TX and CLEAR_RX read back as written; they are one-shot",
    ),
    bits(
        Block::Spi0,
        0x00,
        0xfc00_c000,
        always,
        "SPI CS: reserved bits are kept; here they read 0",
    ),
    bits(
        Block::Spi0,
        0x00,
        1 << 16,
        |seen| seen.cs & DMAEN != 0,
        "SPI CS: DONE ignores DLEN in DMA mode, which QEMU does not have",
    ),
    bits(
        Block::Spi0,
        0x00,
        0x001f_0000,
        |seen| seen.lag,
        "SPI CS: bytes that waited for room in the receive FIFO move only at the next FIFO access, so flags lag",
    ),
    bits(
        Block::Spi0,
        0x00,
        1 << 19,
        |seen| seen.ta_fell || seen.cs & TA == 0,
        "SPI CS: RXR is computed at FIFO accesses alone, with TA = 0 too, instead of always and with TA = 1 only",
    ),
    not_played(
        "SPI: FIFO accesses with DMAEN are 8 bits wide, DLEN does not count, DREQ is not there",
    ),
    not_played("SPI: a change of DMAEN does not garble what is in the FIFOs"),
    not_played(
        "SPI: chip select and polarity reach no slave; with TA the model's slave must be selected, so that it answers",
    ),
    not_played(
        "SPI: a FIFO write with TA = 0 is dropped; here it is a control word, and DLEN and CS are written again after it",
    ),
    not_played(
        "SPI: with bytes waiting in the transmit FIFO, clearing a FIFO or TA loses bytes that the model has long sent",
    ),
    not_played("SPI: DONE written 1 is ignored, which only DMA transfers can show"),
    bits(
        Block::Dma,
        0x00,
        1 << 3,
        always,
        "DMA CS: DREQ reads 0; an unpaced channel's DREQ is always up",
    ),
    bits(
        Block::Dma,
        0x00,
        1 << 4,
        always,
        "DMA CS: PAUSED is set after every run and every write of CS",
    ),
    bits(
        Block::Dma,
        0x14,
        0xffff_ffff,
        |seen| seen.rows,
        "DMA TXFR_LEN: the row count is left over after rows",
    ),
    bits(
        Block::Dma,
        0x20,
        0xffff_ffff,
        always,
        "DMA DEBUG: plain memory, and no channel is lite",
    ),
    bits(
        Block::Dma,
        0xff0,
        1 << 15,
        always,
        "DMA ENABLE: has a bit for channel 15, which lies in another block",
    ),
    not_played("DMA: rows, SRC_IGNORE and DEST_IGNORE on lite channels: QEMU has them all full"),
    not_played(
        "DMA: 128-bit accesses (TI.SRC_WIDTH, TI.DEST_WIDTH): QEMU does not have them, and the kit does not use them",
    ),
    not_played(
        "DMA: rows without length: QEMU adds the strides, the model is done at once; no document tells",
    ),
    not_played(
        "DMA: writes to NEXTCONBK: QEMU takes them at any time, the model while the channel is paused, as it should be",
    ),
    not_played("DMA: pacing by DREQ, and data for SPI0: no DREQ there, one byte a word"),
    not_played("DMA: a cleared ENABLE bit leaves ACTIVE set and the channel dead for ever"),
    not_played("DMA: lengths that are no multiple of 4, and cyclic chains: QEMU hangs"),
    not_played("DMA: pausing or aborting a run: QEMU's is over within the write that starts it"),
    not_played("DMA: RESET with INT set leaves the bit in INT_STATUS for good"),
    not_played("DMA: bus errors: QEMU has none"),
];

impl fmt::Display for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.scope {
            Scope::Bits(_, _, mask, _) => write!(f, "{} (bits {mask:#010x})", self.what),
            Scope::NotPlayed => write!(f, "{} (not played)", self.what),
        }
    }
}

/// The bits of a register that must agree.
pub(crate) fn compared(block: Block, offset: u32, seen: &Context) -> u32 {
    let own = match block {
        Block::Dma if offset < 0xf00 => offset & 0xff,
        _ => offset,
    };
    KNOWN
        .iter()
        .fold(u32::MAX, |mask, known| match known.scope {
            Scope::Bits(of, register, bits, when)
                if of == block && register == own && when(seen) =>
            {
                mask & !bits
            }
            _ => mask,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_listed_is_excused() {
        let calm = Context {
            cs: TA,
            ..Context::default()
        };
        assert_eq!(compared(Block::Spi0, 0x00, &calm), !0xfc00_c030);
        for offset in [0x04, 0x08, 0x0c, 0x10, 0x14] {
            assert_eq!(compared(Block::Spi0, offset, &calm), u32::MAX);
        }
        assert_eq!(compared(Block::Dma, 0x300, &calm), !0x18);
        for offset in [0x304, 0x308, 0x30c, 0x310, 0x314, 0x318, 0x31c, 0xfe0] {
            assert_eq!(compared(Block::Dma, offset, &calm), u32::MAX);
        }
    }

    #[test]
    fn a_condition_excuses_its_bits_and_no_others() {
        let seen = Context {
            lag: true,
            ..Context::default()
        };
        assert_eq!(compared(Block::Spi0, 0x00, &seen), !0xfc1f_c030);
        assert_eq!(compared(Block::Spi0, 0x04, &seen), u32::MAX);
        let seen = Context {
            rows: true,
            ..Context::default()
        };
        assert_eq!(compared(Block::Dma, 0x314, &seen), 0);
        assert_eq!(compared(Block::Dma, 0x30c, &seen), u32::MAX);
    }
}
