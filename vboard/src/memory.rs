// SPDX-License-Identifier: GPL-2.0-only

//! Memory as a DMA controller on the board reaches it: by bus address.
//!
//! The models are generic over [`BusMemory`]. In a process it is an arena; in `vboard.ko` it is the
//! memory that drivers have registered through [`crate::table::Table::map`].

/// No memory answers at this bus address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BusError;

/// Memory at bus addresses.
pub trait BusMemory {
    /// Reads `out.len()` bytes from bus address `bus` on.
    ///
    /// # Errors
    ///
    /// [`BusError`] if any of these bytes is not memory. The content of `out` is then unspecified.
    fn read(&self, bus: u32, out: &mut [u8]) -> Result<(), BusError>;

    /// Writes `data` from bus address `bus` on.
    ///
    /// # Errors
    ///
    /// [`BusError`] if any of these bytes is not memory. Nothing is written then.
    fn write(&mut self, bus: u32, data: &[u8]) -> Result<(), BusError>;
}
