// SPDX-License-Identifier: GPL-2.0-only

//! The memory that the board's DMA reaches: the regions that drivers have mapped through the table.

use crate::memory::{BusError, BusMemory};

const REGIONS: usize = 32;

struct Region {
    bus: u32,
    len: usize,
    cpu: *mut u8,
}

/// The mapped regions.
///
/// # Invariants
///
/// The `len` bytes at `cpu` of each region may be read and written until the region is removed.
pub(super) struct Regions([Option<Region>; REGIONS]);

impl Regions {
    pub(super) const fn new() -> Self {
        Self([const { None }; REGIONS])
    }

    /// Adds a region. `None` if there is no room, or if the bus address does not fit in 32 bits.
    ///
    /// # Safety
    ///
    /// `len` bytes at `cpu` may be read and written until [`Self::remove`].
    pub(super) unsafe fn add(&mut self, bus: u64, cpu: *mut u8, len: usize) -> Option<()> {
        let bus = u32::try_from(bus).ok()?;
        let place = self.0.iter_mut().find(|place| place.is_none())?;
        *place = Some(Region { bus, len, cpu });
        Some(())
    }

    pub(super) fn remove(&mut self, bus: u64) {
        for place in &mut self.0 {
            if place
                .as_ref()
                .is_some_and(|region| u64::from(region.bus) == bus)
            {
                *place = None;
            }
        }
    }

    /// The processor's address of the `len` bytes at bus address `bus`.
    fn find(&self, bus: u32, len: usize) -> Result<*mut u8, BusError> {
        for region in self.0.iter().flatten() {
            let Some(offset) = bus.checked_sub(region.bus) else {
                continue;
            };
            let offset = offset as usize;
            if offset.saturating_add(len) <= region.len {
                // SAFETY: `offset` is at most `region.len`, as just checked, and the region's bytes
                // are one range of memory.
                return Ok(unsafe { region.cpu.add(offset) });
            }
        }
        Err(BusError)
    }
}

impl BusMemory for Regions {
    fn read(&self, bus: u32, out: &mut [u8]) -> Result<(), BusError> {
        let from = self.find(bus, out.len())?;
        for (i, byte) in out.iter_mut().enumerate() {
            // SAFETY: `find` checked that `out.len()` bytes lie in the region, and `i` is below
            // that.
            let from = unsafe { from.add(i) };
            // SAFETY: the byte lies in a region, which may be read by the invariant. The read is
            // volatile because user space may write the byte at the same time.
            *byte = unsafe { from.read_volatile() };
        }
        Ok(())
    }

    fn write(&mut self, bus: u32, data: &[u8]) -> Result<(), BusError> {
        let to = self.find(bus, data.len())?;
        for (i, byte) in data.iter().enumerate() {
            // SAFETY: `find` checked that `data.len()` bytes lie in the region, and `i` is below
            // that.
            let to = unsafe { to.add(i) };
            // SAFETY: the byte lies in a region, which may be written by the invariant. The write
            // is volatile because user space may read the byte at the same time.
            unsafe { to.write_volatile(*byte) };
        }
        Ok(())
    }
}
