// SPDX-License-Identifier: GPL-2.0-only

//! Memory that the board's DMA reaches: what the drivers told it of.

use crate::memory::{BusError, BusMemory};

const REGIONS: usize = 32;

struct Region {
    bus: u32,
    len: usize,
    cpu: *mut u8,
}

/// # Invariants
///
/// Each region's memory is there until it is removed.
pub(super) struct Regions([Option<Region>; REGIONS]);

impl Regions {
    pub(super) const fn new() -> Self {
        Self([const { None }; REGIONS])
    }

    /// Adds a region; `None` where there is no room, or the address is out of DMA's reach.
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

    /// The processor's address of `len` bytes from `bus` on.
    fn find(&self, bus: u32, len: usize) -> Result<*mut u8, BusError> {
        for region in self.0.iter().flatten() {
            let Some(offset) = bus.checked_sub(region.bus) else {
                continue;
            };
            let offset = offset as usize;
            if offset.saturating_add(len) <= region.len {
                // SAFETY: inside the region.
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
            // SAFETY: `find` gave that many bytes.
            let from = unsafe { from.add(i) };
            // SAFETY: inside a region, which is there by the invariants; volatile, as user space shares it.
            *byte = unsafe { from.read_volatile() };
        }
        Ok(())
    }

    fn write(&mut self, bus: u32, data: &[u8]) -> Result<(), BusError> {
        let to = self.find(bus, data.len())?;
        for (i, byte) in data.iter().enumerate() {
            // SAFETY: `find` gave that many bytes.
            let to = unsafe { to.add(i) };
            // SAFETY: as for reading.
            unsafe { to.write_volatile(*byte) };
        }
        Ok(())
    }
}
