// SPDX-License-Identifier: GPL-2.0-only

//! The SoC's bus addresses, as the DMA controller uses them.

/// Bus address of SPI0's registers (BCM2835 ARM Peripherals, 10.5).
pub const SPI0_BUS: u32 = 0x7e20_4000;

/// What lies at a bus address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// SPI0, at this register offset.
    Spi(u32),
    /// Memory, if the board has some there.
    Memory,
    /// A peripheral that the board does not model.
    Nothing,
}

/// Decodes a bus address.
pub(crate) const fn target(bus: u32) -> Target {
    if bus >> 24 != 0x7e {
        Target::Memory
    } else if bus & !0xff == SPI0_BUS {
        Target::Spi(bus & 0xfc)
    } else {
        Target::Nothing
    }
}
