// SPDX-License-Identifier: GPL-2.0-only

//! The board's interrupt lines, level-triggered.

/// One interrupt line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IrqLine {
    /// SPI0's line: `(INTD & DONE) | (INTR & RXR)`.
    Spi,
    /// A DMA channel's line: its CS.INT.
    Dma(u8),
}

/// A set of interrupt lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IrqLines(u32);

const SPI: u32 = 1 << 16;

impl IrqLine {
    const fn bit(self) -> u32 {
        match self {
            Self::Spi => SPI,
            Self::Dma(channel) if channel < 16 => 1 << channel,
            Self::Dma(_) => 0,
        }
    }
}

impl IrqLines {
    pub(crate) const fn new(spi: bool, channels: u16) -> Self {
        Self(channels as u32 | if spi { SPI } else { 0 })
    }

    /// Whether no line is in the set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether `line` is in the set.
    pub const fn contains(self, line: IrqLine) -> bool {
        self.0 & line.bit() != 0
    }

    /// The DMA channels whose line is in the set, one bit each.
    pub const fn channels(self) -> u16 {
        (self.0 & 0xffff) as u16
    }

    pub(crate) const fn of(line: IrqLine) -> Self {
        Self(line.bit())
    }

    pub(crate) const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub(crate) const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}
