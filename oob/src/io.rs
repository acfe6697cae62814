// SPDX-License-Identifier: GPL-2.0-only

//! Memory-mapped registers, and the order of their accesses against memory that a device reads or
//! writes.

/// A window of 32-bit device registers.
///
/// Register accesses keep their order among themselves. They are *not* ordered against ordinary
/// memory: a driver calls [`Self::publish`] before the write that lets the device read memory, and
/// [`Self::observe`] after the read that tells that the device has written memory.
pub trait Mmio {
    /// Reads the register at byte `offset`.
    fn read(&self, offset: usize) -> u32;

    /// Writes the register at byte `offset`.
    fn write(&self, offset: usize, value: u32);

    /// Makes earlier writes to memory visible to the device before later register writes.
    fn publish(&self);

    /// Orders later reads of memory after earlier register reads.
    fn observe(&self);
}

impl<T: Mmio + ?Sized> Mmio for &T {
    fn read(&self, offset: usize) -> u32 {
        (**self).read(offset)
    }

    fn write(&self, offset: usize, value: u32) {
        (**self).write(offset, value);
    }

    fn publish(&self) {
        (**self).publish();
    }

    fn observe(&self) {
        (**self).observe();
    }
}
