// SPDX-License-Identifier: GPL-2.0-only

//! Memory of the process, accessed so that a device may write to it and the kernel may revoke it.

use anyhow::Result;
use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use std::os::fd::BorrowedFd;
use std::ptr::{self, NonNull};

/// A part of a process's memory.
///
/// # Invariants
///
/// `len` bytes from `base` on are mapped, until this value is dropped.
#[derive(Debug)]
pub(crate) struct Mapping {
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: the bytes are reached by volatile accesses only; a device writes to them at any moment anyway.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    pub(super) fn new(
        fd: BorrowedFd<'_>,
        len: usize,
        flags: MapFlags,
        offset: u64,
    ) -> Result<Self, Errno> {
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a fresh range that the kernel chooses.
        let address = unsafe { mmap(ptr::null_mut(), len, access, flags, fd, offset) }?;
        // INVARIANT: just mapped.
        let base = NonNull::new(address.cast()).ok_or(Errno::FAULT)?;
        Ok(Self { base, len })
    }

    /// Fresh zeroes of this process's own.
    pub(crate) fn anonymous(len: usize, access: ProtFlags) -> Result<Self, Errno> {
        // SAFETY: a fresh range that the kernel chooses.
        let address =
            unsafe { rustix::mm::mmap_anonymous(ptr::null_mut(), len, access, MapFlags::PRIVATE) }?;
        // INVARIANT: just mapped.
        let base = NonNull::new(address.cast()).ok_or(Errno::FAULT)?;
        Ok(Self { base, len })
    }

    /// The same, and none of it can be written to any more.
    pub(crate) fn read_only(self) -> Result<Self> {
        let base = self.base.as_ptr().cast();
        // SAFETY: this mapping's own range, into which nobody has a reference.
        unsafe { rustix::mm::mprotect(base, self.len, rustix::mm::MprotectFlags::READ) }?;
        Ok(self)
    }

    /// Splits the bytes from `offset` on, whole pages, off what may be accessed; for their address only.
    pub(crate) fn without_access(&self, offset: usize) -> Result<Edge> {
        let base = self.at(offset);
        let len = self.len - offset;
        // SAFETY: this mapping's own range, into which nobody has a reference.
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
        // SAFETY: inside the mapping.
        unsafe { self.base.add(offset) }
    }

    pub(crate) fn read(&self, offset: usize, into: &mut [u8]) {
        for (i, byte) in into.iter_mut().enumerate() {
            // SAFETY: mapped by the invariants; a mapping that was revoked ends the process, as its test expects.
            *byte = unsafe { self.at(offset + i).read_volatile() };
        }
    }

    pub(crate) fn write(&self, offset: usize, from: &[u8]) {
        for (i, byte) in from.iter().enumerate() {
            // SAFETY: as in `read`.
            unsafe { self.at(offset + i).write_volatile(*byte) };
        }
    }
}

/// Where the part of a mapping that cannot be accessed begins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Edge(usize);

impl Edge {
    pub(crate) const fn address(self) -> usize {
        self.0
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped by the invariants, and no reference into it was ever made.
        // A failure would mean that it is gone already.
        let _ = unsafe { munmap(self.base.as_ptr().cast(), self.len) };
    }
}
