// SPDX-License-Identifier: GPL-2.0-only

//! Memory that the processor and a device see alike.

use crate::error::{Result, code, to_result};
use crate::inband::Inband;
use crate::mm::Vma;
use core::ptr::NonNull;

/// Coherent memory, zeroed.
///
/// # Invariants
///
/// `cpu` and `bus` name the same `len` bytes, allocated for `dev`, which outlives the value.
#[derive(Debug)]
pub struct Coherent {
    dev: *mut bindings::device,
    cpu: NonNull<u8>,
    bus: u64,
    len: usize,
}

// SAFETY: the memory belongs to the value alone; it may be freed on any thread.
unsafe impl Send for Coherent {}
// SAFETY: a shared reference gives addresses only.
unsafe impl Sync for Coherent {}

impl Coherent {
    /// Allocates `len` bytes; sleeps.
    ///
    /// # Safety
    ///
    /// `dev` is a live device, of which the value holds a reference through the driver that is bound to it, or which
    /// outlives it otherwise.
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
        // SAFETY: `dev` is live by contract; GFP_KERNEL as `___GFP_` bits differ between versions, so the helper takes it.
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

    /// Bytes.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Maps the first pages, as many as `vma` spans, into a process; sleeps.
    ///
    /// # Safety
    ///
    /// The value is not dropped before the last part of the mapping is gone ([`Vma::hold`]) or its pages have been taken out
    /// of the process ([`crate::mm::Node::unmap`]).
    ///
    /// # Errors
    ///
    /// As `dma_mmap_attrs`.
    pub unsafe fn mmap(&self, vma: &Vma<'_>) -> Result {
        // SAFETY: the memory is this device's, for as long as it is mapped by contract; the VMA is being set up by its ->mmap.
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
        // SAFETY: by the invariants.
        unsafe {
            bindings::dma_free_attrs(self.dev, self.len, self.cpu.as_ptr().cast(), self.bus, 0)
        };
    }
}
