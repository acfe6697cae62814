// SPDX-License-Identifier: GPL-2.0-only

//! Memory that the processor and a device see alike: coherent DMA memory.

use crate::error::{Result, code, to_result};
use crate::inband::Inband;
use crate::mm::Vma;
use core::ptr::NonNull;

/// Coherent memory, zeroed.
///
/// # Invariants
///
/// `cpu` and `bus` are the addresses of the same `len` bytes, allocated for `dev`. `dev` outlives
/// the value.
#[derive(Debug)]
pub struct Coherent {
    dev: *mut bindings::device,
    cpu: NonNull<u8>,
    bus: u64,
    len: usize,
}

// SAFETY: the value owns the memory, which may be freed on any in-band thread.
unsafe impl Send for Coherent {}
// SAFETY: a shared reference gives only addresses.
unsafe impl Sync for Coherent {}

impl Coherent {
    /// Allocates `len` zeroed bytes. Sleeps.
    ///
    /// # Safety
    ///
    /// `dev` is a live device and outlives the value, for example because the value belongs to the
    /// driver bound to it.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub unsafe fn new(
        _inband: &Inband<'_>,
        dev: *mut bindings::device,
        len: usize,
    ) -> Result<Self> {
        let mut bus = 0;
        // SAFETY: `dev` is live by contract, and the token proves that the caller may sleep. The
        // helper supplies GFP_KERNEL, whose bits differ between kernel versions.
        let cpu = unsafe { bindings::dma_alloc_coherent(dev, len, &raw mut bus) };
        let cpu = NonNull::new(cpu.cast()).ok_or(code::ENOMEM)?;
        Ok(Self { dev, cpu, bus, len })
    }

    /// The processor's address.
    pub const fn cpu(&self) -> NonNull<u8> {
        self.cpu
    }

    /// The device's address.
    pub const fn bus(&self) -> u64 {
        self.bus
    }

    /// The size in bytes.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether the size is 0.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Maps the first pages, as many as `vma` spans, into a process. Sleeps.
    ///
    /// # Safety
    ///
    /// The value is not dropped before the last part of the mapping is gone ([`Vma::hold`]), or
    /// before its pages have been removed from the process ([`crate::mm::Node::unmap`]).
    ///
    /// # Errors
    ///
    /// The errors of `dma_mmap_attrs`.
    pub unsafe fn mmap(&self, vma: &Vma<'_>) -> Result {
        // SAFETY: the addresses are of memory allocated for `dev`, which by contract is not freed
        // while it is mapped. A `Vma` exists only in the running `->mmap`.
        let mapped = unsafe {
            bindings::dma_mmap_attrs(
                self.dev,
                vma.as_ptr(),
                self.cpu.as_ptr().cast(),
                self.bus,
                self.len,
                0,
            )
        };
        to_result(mapped).map(|_| ())
    }
}

impl Drop for Coherent {
    fn drop(&mut self) {
        // SAFETY: by the invariants the arguments describe one allocation for the live device
        // `dev`.
        unsafe {
            bindings::dma_free_attrs(self.dev, self.len, self.cpu.as_ptr().cast(), self.bus, 0)
        };
    }
}
