// SPDX-License-Identifier: GPL-2.0-only

//! DMA channels for out-of-band transfers: what a channel offers to the driver that uses it.
//!
//! ```text
//!  in-band   prepare(slot 0)  prepare(slot 1)          (writes descriptors into coherent memory)
//!  oob                              pulse(0)  [interrupt]  residue = 0, take_fault = None
//!                                   pulse(1)  [interrupt]  ...
//!                                   pulse(0)  no interrupt  abort
//! ```
//!
//! | trait | a channel that has it |
//! | --- | --- |
//! | [`Channel`] | can be stopped, and tells what stopped it |
//! | [`PulseChannel`] | starts a prepared transfer once more |
//! | [`ChainChannel`] | moves several transfers, one after the other, by one pulse |
//! | [`CyclicChannel`] | moves the periods of a ring buffer, over and over |
//! | [`SharedIrq`] | (a controller) has one interrupt for all its channels |
//!
//! - A transfer is written down once, in-band, as a *descriptor* in memory that the channel's user
//!   supplies. *Pulsing* it starts the same transfer once more: no allocation, no mapping, a few
//!   register writes.
//! - The channel's interrupt reports completion. The owner of the interrupt decides which code it
//!   runs.
//! - A channel moves 32-bit words. The last word may hold bytes that nobody wants, so both ends
//!   must have room for it.
//! - A controller implements the traits that its hardware has. A user names the ability that it
//!   needs as a bound, so a channel without it does not compile there.
#![cfg_attr(not(test), no_std)]

use core::ptr::NonNull;
use oob::time::{Clock, Ns};

/// Coherent memory for descriptors: seen by the processor and by the DMA controller without cache
/// maintenance.
#[derive(Debug)]
pub struct DescriptorMemory {
    cpu: NonNull<u8>,
    bus: u64,
    len: usize,
}

// SAFETY: the memory may be reached from any thread, and the caller of `new` promises that nobody
// else uses it.
unsafe impl Send for DescriptorMemory {}

impl DescriptorMemory {
    /// Wraps `len` bytes of coherent memory at `cpu`, which the DMA controller sees at `bus`.
    ///
    /// # Safety
    ///
    /// The memory is valid for reads and writes through `cpu` on any processor, belongs to the
    /// result alone, and lives until the result is gone *and* every channel that was given a
    /// descriptor in it is idle.
    pub const unsafe fn new(cpu: NonNull<u8>, bus: u64, len: usize) -> Self {
        Self { cpu, bus, len }
    }

    /// The place of descriptor `slot` of `size` bytes, counted from the start: processor's address
    /// and bus address.
    ///
    /// `None` where it would end behind the memory, or where either address is no multiple of
    /// `size` (a power of two).
    pub fn slot(&self, slot: usize, size: usize) -> Option<(NonNull<u8>, u64)> {
        let offset = slot.checked_mul(size)?;
        if offset.checked_add(size)? > self.len {
            return None;
        }
        let bus = self.bus.checked_add(u64::try_from(offset).ok()?)?;
        // SAFETY: `offset` lies inside the memory that `new` was promised.
        let cpu = unsafe { self.cpu.add(offset) };
        let aligned =
            cpu.addr().get().is_multiple_of(size) && bus.is_multiple_of(u64::try_from(size).ok()?);
        aligned.then_some((cpu, bus))
    }
}

/// Which way a transfer goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From memory into a device's FIFO.
    ToDevice,
    /// From a device's FIFO into memory.
    FromDevice,
}

/// A transfer between memory and one device register, paced by the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// Which way.
    pub direction: Direction,
    /// Bus address of the memory; a multiple of 4.
    pub memory: u64,
    /// Bus address of the device's FIFO register.
    pub device: u64,
    /// The device's request line, in the channel's own numbering.
    pub request: u8,
    /// Bytes; a multiple of 4, not 0.
    pub len: u32,
    /// Whether the channel's interrupt comes at the end.
    pub interrupt: bool,
}

/// Why a transfer was not prepared; the descriptor memory is unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrepareError {
    /// The length is 0, no multiple of a word, or more than the channel moves with one descriptor.
    Length,
    /// An address is out of the channel's reach, or no multiple of a word.
    Address,
    /// There is no such request line.
    Request,
    /// The descriptor memory has no such slot, or it is not aligned.
    Slot,
}

/// What stopped a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The bus answered a read with an error.
    Read,
    /// The channel's own FIFO failed.
    Fifo,
    /// The bus did not mark the last read of a burst.
    ReadLast,
}

/// A channel of a DMA controller, owned by one user.
pub trait Channel {
    /// Bytes of descriptor memory that one slot takes; a power of two, and the slot's alignment.
    const SLOT: usize;

    /// The longest that [`Self::abort`] spins.
    const ABORT_MAX: Ns;

    /// Stops what is under way and makes the channel fit for the next start. Spins for a short,
    /// bounded time.
    fn abort(&self, clock: &impl Clock);

    /// What stopped the channel since the last call, if anything did.
    fn take_fault(&self) -> Option<Fault>;
}

/// A channel that starts a prepared transfer once more.
pub trait PulseChannel: Channel {
    /// A prepared transfer. It is bound to the channel that prepared it and to its memory.
    type Descriptor: Copy;

    /// Writes `transfer` into `slot` of `memory`. Touches no register.
    ///
    /// # Errors
    ///
    /// See [`PrepareError`].
    ///
    /// # Safety
    ///
    /// Whenever the transfer is pulsed, the device may read or write the memory that it names, and
    /// the slot still holds it: a slot is not prepared again while a transfer from it is under way.
    unsafe fn prepare(
        &self,
        memory: &DescriptorMemory,
        slot: usize,
        transfer: &Transfer,
    ) -> Result<Self::Descriptor, PrepareError>;

    /// Starts the prepared transfer once more. The channel is idle before.
    ///
    /// Everything written to memory before this call is visible to the channel.
    fn pulse(&self, descriptor: Self::Descriptor);

    /// Bytes that the transfer under way has still to move; 0 exactly when the channel is idle.
    ///
    /// What the channel wrote to memory before it became idle is visible after this returned 0.
    fn residue(&self) -> u32;
}

/// A channel that moves several transfers, one after the other, by one pulse.
pub trait ChainChannel: PulseChannel {
    /// Writes `transfers` into as many slots of `memory`, from `first` on, each linked to the next.
    /// [`PulseChannel::pulse`] starts the chain, and [`PulseChannel::residue`] is that of the whole
    /// chain. A transfer's `interrupt` comes at its own end. Touches no register.
    ///
    /// # Errors
    ///
    /// See [`PrepareError`]; [`PrepareError::Length`] for a chain of no transfers. The slots may
    /// have been overwritten.
    ///
    /// # Safety
    ///
    /// As for [`PulseChannel::prepare`], for each transfer and each slot.
    unsafe fn prepare_chain(
        &self,
        memory: &DescriptorMemory,
        first: usize,
        transfers: &[Transfer],
    ) -> Result<Self::Descriptor, PrepareError>;
}

/// A channel that moves the periods of a ring buffer, over and over, until it is aborted.
pub trait CyclicChannel: Channel {
    /// A prepared ring. It is bound to the channel that prepared it and to its memory.
    type Ring: Copy;

    /// Divides `transfer` into `periods` of one length, and writes them into as many slots of
    /// `memory`, from `first` on, as a ring. Where `transfer.interrupt` is set, the interrupt comes
    /// at the end of each period. Touches no register.
    ///
    /// # Errors
    ///
    /// See [`PrepareError`]; [`PrepareError::Length`] where `periods` does not divide the transfer
    /// into whole words. The slots may have been overwritten.
    ///
    /// # Safety
    ///
    /// As for [`PulseChannel::prepare`], from [`Self::start`] to the end of [`Channel::abort`].
    unsafe fn prepare_ring(
        &self,
        memory: &DescriptorMemory,
        first: usize,
        transfer: &Transfer,
        periods: u32,
    ) -> Result<Self::Ring, PrepareError>;

    /// Starts the ring at its first period. The channel is idle before.
    ///
    /// Everything written to memory before this call is visible to the channel.
    fn start(&self, ring: Self::Ring);

    /// The period that the channel moves now, counted from 0; `None` when the channel is idle.
    ///
    /// What the channel wrote to memory in earlier periods is visible after this returned.
    fn period(&self) -> Option<u32>;
}

/// The interrupt side of a controller whose channels share one interrupt.
pub trait SharedIrq {
    /// Acknowledges the interrupt, and returns the channels that raised it. The handler then calls
    /// the user of each. What their transfers wrote to memory is visible afterwards.
    fn acknowledge(&self) -> Channels;
}

/// Some channels of a controller, numbered from 0 to 31.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Channels(pub u32);

impl Channels {
    /// Whether there are none: then the interrupt was not this controller's.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether `channel` is one of them.
    pub fn contains(self, channel: u32) -> bool {
        1_u32.checked_shl(channel).unwrap_or(0) & self.0 != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[repr(align(32))]
    struct Aligned([u8; 96]);

    #[test]
    fn slots_lie_inside_the_memory_and_are_aligned_for_processor_and_device() {
        let mut memory = Aligned([0; 96]);
        let start = NonNull::from(&mut memory.0).cast::<u8>();
        // SAFETY: the array outlives every use of `good`, and no channel uses it.
        let good = unsafe { DescriptorMemory::new(start, 0xc000_0040, 96) };
        let (cpu, bus) = good.slot(2, 32).unwrap();
        assert_eq!(cpu.addr().get(), start.addr().get() + 64);
        assert_eq!(bus, 0xc000_0080);
        assert_eq!(good.slot(3, 32), None);
        assert_eq!(good.slot(usize::MAX, 32), None);
        // SAFETY: the array outlives every use of `skewed`, and no channel uses it.
        let skewed = unsafe { DescriptorMemory::new(start, 0xc000_0050, 96) };
        assert_eq!(skewed.slot(0, 32), None);
        let inside = NonNull::from(&mut memory.0[8..]).cast::<u8>();
        // SAFETY: `inside` has 88 bytes of the array, which outlives every use of `skewed`, and no
        // channel uses it.
        let skewed = unsafe { DescriptorMemory::new(inside, 0xc000_0040, 64) };
        assert_eq!(skewed.slot(0, 32), None);
    }
}
