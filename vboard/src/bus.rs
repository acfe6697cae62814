// SPDX-License-Identifier: GPL-2.0-only

//! The bus as the DMA controller sees it.

/// Bus address of SPI0's registers (BCM2835 ARM Peripherals, 10.5).
pub const SPI0_BUS: u32 = 0x7e20_4000;

/// No memory answers at that address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BusError;

/// Memory at bus addresses.
pub trait BusMemory {
    /// Reads `out.len()` bytes from `bus` on.
    ///
    /// # Errors
    ///
    /// [`BusError`] where not all of them are memory; `out` is unspecified then.
    fn read(&self, bus: u32, out: &mut [u8]) -> Result<(), BusError>;

    /// Writes `data` from `bus` on.
    ///
    /// # Errors
    ///
    /// [`BusError`] where not all of it is memory; nothing was written then.
    fn write(&mut self, bus: u32, data: &[u8]) -> Result<(), BusError>;
}

/// Where an address leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// SPI0, at this register offset.
    Spi(u32),
    Memory,
    Nothing,
}

pub(crate) const fn target(bus: u32) -> Target {
    if bus >> 24 != 0x7e {
        Target::Memory
    } else if bus & !0xff == SPI0_BUS {
        Target::Spi(bus & 0xfc)
    } else {
        Target::Nothing
    }
}
