// SPDX-License-Identifier: GPL-2.0-only

//! Memory of the process, accessed so that a device may write to it and the kernel may revoke it.

use anyhow::Result;
use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use std::os::fd::BorrowedFd;
use std::ptr::{self, NonNull};

/// A mapped part of this process's memory.
///
/// # Invariants
///
/// `len` bytes from `base` on are mapped until this value is dropped.
#[derive(Debug)]
pub(crate) struct Mapping {
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: a mapping belongs to the process and not to a thread, so another thread may access and
// unmap it.
unsafe impl Send for Mapping {}
// SAFETY: `&Mapping` allows volatile accesses to single bytes only, and each value is a valid byte.
// Tests accept any order of accesses, as they do for a device that writes to the memory.
unsafe impl Sync for Mapping {}

impl Mapping {
    pub(super) fn new(
        fd: BorrowedFd<'_>,
        len: usize,
        flags: MapFlags,
        offset: u64,
    ) -> Result<Self, Errno> {
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: the kernel chooses an unused range, so no memory of this process changes.
        let address = unsafe { mmap(ptr::null_mut(), len, access, flags, fd, offset) }?;
        // INVARIANT: mmap returned a range of `len` bytes, which only `drop` unmaps.
        let base = NonNull::new(address.cast()).ok_or(Errno::FAULT)?;
        Ok(Self { base, len })
    }

    /// Maps private memory, which is filled with zeroes.
    pub(crate) fn anonymous(len: usize, access: ProtFlags) -> Result<Self, Errno> {
        // SAFETY: the kernel chooses an unused range, so no memory of this process changes.
        let address =
            unsafe { rustix::mm::mmap_anonymous(ptr::null_mut(), len, access, MapFlags::PRIVATE) }?;
        // INVARIANT: mmap returned a range of `len` bytes, which only `drop` unmaps.
        let base = NonNull::new(address.cast()).ok_or(Errno::FAULT)?;
        Ok(Self { base, len })
    }

    /// Makes the whole mapping read-only.
    pub(crate) fn read_only(self) -> Result<Self> {
        let base = self.base.as_ptr().cast();
        // SAFETY: the range belongs to this mapping, and no reference into it exists.
        unsafe { rustix::mm::mprotect(base, self.len, rustix::mm::MprotectFlags::READ) }?;
        Ok(self)
    }

    /// Forbids access to the pages from `offset` on. Returns where they begin.
    pub(crate) fn without_access(&self, offset: usize) -> Result<Edge> {
        let base = self.at(offset);
        let len = self.len - offset;
        // SAFETY: the range belongs to this mapping, and no reference into it exists.
        unsafe {
            rustix::mm::mprotect(
                base.as_ptr().cast(),
                len,
                rustix::mm::MprotectFlags::empty(),
            )
        }?;
        Ok(Edge(base.as_ptr().expose_provenance()))
    }

    pub(crate) fn address(&self) -> usize {
        self.base.as_ptr().expose_provenance()
    }

    fn at(&self, offset: usize) -> NonNull<u8> {
        assert!(offset < self.len, "beyond the mapping");
        // SAFETY: the assertion above keeps the result inside the mapping.
        unsafe { self.base.add(offset) }
    }

    pub(crate) fn read(&self, offset: usize, into: &mut [u8]) {
        for (i, byte) in into.iter_mut().enumerate() {
            // SAFETY: the byte is mapped by the invariants. If the kernel revoked it, the access
            // ends the process by a signal, as the test of that expects.
            *byte = unsafe { self.at(offset + i).read_volatile() };
        }
    }

    pub(crate) fn write(&self, offset: usize, from: &[u8]) {
        for (i, byte) in from.iter().enumerate() {
            // SAFETY: the byte is mapped by the invariants, and no reference to it exists. If the
            // kernel revoked it, the access ends the process by a signal.
            unsafe { self.at(offset + i).write_volatile(*byte) };
        }
    }
}

/// Where the inaccessible part of a mapping begins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Edge(usize);

impl Edge {
    pub(crate) const fn address(self) -> usize {
        self.0
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the range is mapped by the invariants, and no reference into it exists.
        // munmap fails only if the range is not mapped, and then nothing is left to do.
        let _ = unsafe { munmap(self.base.as_ptr().cast(), self.len) };
    }
}
