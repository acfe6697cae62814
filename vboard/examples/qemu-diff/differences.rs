// SPDX-License-Identifier: GPL-2.0-only

//! The list of known differences between QEMU's models and the board's, checked against QEMU
//! 10.0.2. None is a defect of the board's model.
//!
//! Most of them were known from QEMU's source and from running drivers there. This comparison found
//! the following ones, which QEMU's source then confirmed: the reserved bits of CS, the moment at
//! which RXR is computed, ENABLE's bit 15, rows without length, NEXTCONBK while a channel is not
//! paused, and RESET with INT set.

use std::fmt;
use vboard::bcm2835::board::Block;

/// The state of a sequence on which some differences depend.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Context {
    /// The last value written to CS.
    pub(crate) cs: u32,
    /// QEMU holds bytes that wait for room in the receive FIFO. Room exists, but QEMU moves them
    /// only at the next FIFO access.
    pub(crate) lag: bool,
    /// TA was cleared since the last FIFO access.
    pub(crate) ta_fell: bool,
    /// The channel's last control block had rows (TDMODE).
    pub(crate) rows: bool,
}

pub(crate) enum Scope {
    /// These bits of this register (for DMA: of every channel's register) are not compared while
    /// the condition holds.
    Bits(Block, u32, u32, fn(&Context) -> bool),
    /// The sequences avoid this, because the two models would differ from then on.
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

/// The known differences.
pub(crate) const KNOWN: &[Known] = &[
    bits(
        Block::Spi0,
        0x00,
        0x30,
        always,
        "SPI CS: QEMU reads CLEAR_TX and CLEAR_RX back as written; they are one-shot",
    ),
    bits(
        Block::Spi0,
        0x00,
        0xfc00_c000,
        always,
        "SPI CS: QEMU stores reserved bits; in the model they read 0",
    ),
    bits(
        Block::Spi0,
        0x00,
        1 << 16,
        |seen| seen.cs & DMAEN != 0,
        "SPI CS: QEMU has no DMA mode, so its DONE ignores DLEN",
    ),
    bits(
        Block::Spi0,
        0x00,
        0x001f_0000,
        |seen| seen.lag,
        "SPI CS: QEMU moves bytes that waited for room in the receive FIFO only at the next FIFO access, so flags lag",
    ),
    bits(
        Block::Spi0,
        0x00,
        1 << 19,
        |seen| seen.ta_fell || seen.cs & TA == 0,
        "SPI CS: QEMU computes RXR at FIFO accesses only, and with TA = 0, too; the model always, and with TA = 1 only",
    ),
    not_played(
        "SPI: in QEMU, FIFO accesses with DMAEN are 8 bits wide, DLEN does not count, and there is no DREQ",
    ),
    not_played("SPI: in QEMU, a change of DMAEN does not garble bytes in the FIFOs"),
    not_played(
        "SPI: in QEMU, chip select and polarity reach no slave; the model's slave answers only if it is selected",
    ),
    not_played(
        "SPI: QEMU drops a FIFO write with TA = 0; in the model it is a control word, so DLEN and CS are written again after it",
    ),
    not_played(
        "SPI: if bytes wait in the transmit FIFO, clearing a FIFO or TA loses bytes in QEMU that the model has sent already",
    ),
    not_played("SPI: QEMU ignores DONE written as 1; only DMA transfers would show it"),
    bits(
        Block::Dma,
        0x00,
        1 << 3,
        always,
        "DMA CS: QEMU's DREQ reads 0; in the model an unpaced channel's DREQ is always high",
    ),
    bits(
        Block::Dma,
        0x00,
        1 << 4,
        always,
        "DMA CS: QEMU sets PAUSED after every run and every write of CS",
    ),
    bits(
        Block::Dma,
        0x14,
        0xffff_ffff,
        |seen| seen.rows,
        "DMA TXFR_LEN: QEMU leaves the row count there after rows",
    ),
    bits(
        Block::Dma,
        0x20,
        0xffff_ffff,
        always,
        "DMA DEBUG: QEMU stores any value, and has no lite channels",
    ),
    bits(
        Block::Dma,
        0xff0,
        1 << 15,
        always,
        "DMA ENABLE: QEMU has a bit for channel 15, which lies in another block",
    ),
    not_played(
        "DMA: rows, SRC_IGNORE and DEST_IGNORE on lite channels: in QEMU all channels are full",
    ),
    not_played(
        "DMA: 128-bit accesses (TI.SRC_WIDTH, TI.DEST_WIDTH): QEMU does not have them, and the kit does not use them",
    ),
    not_played(
        "DMA: rows without length: QEMU adds the strides, the model ends at once; no document specifies this",
    ),
    not_played(
        "DMA: writes to NEXTCONBK: QEMU takes them at any time, the model only while the channel is paused, as specified",
    ),
    not_played(
        "DMA: pacing by DREQ, and data for SPI0: QEMU has no DREQ and moves one byte for each word",
    ),
    not_played(
        "DMA: in QEMU, a cleared ENABLE bit leaves ACTIVE set, and the channel never runs again",
    ),
    not_played("DMA: lengths that are no multiple of 4, and cyclic chains: QEMU hangs"),
    not_played("DMA: pausing or aborting a run: QEMU ends the run within the write that starts it"),
    not_played("DMA: in QEMU, RESET with INT set leaves the bit in INT_STATUS for good"),
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
