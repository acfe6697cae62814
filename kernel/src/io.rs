// SPDX-License-Identifier: GPL-2.0-only

//! Device registers, and the order of their accesses against memory that the device shares.

/// A mapped window of 32-bit registers.
///
/// # Invariants
///
/// `base` is aligned to 4 and points to `len` bytes of device memory, which stay mapped while the
/// device is bound.
#[derive(Clone, Copy, Debug)]
pub struct IoMem {
    base: *mut u32,
    len: usize,
}

// SAFETY: any thread may access the mapping; the driver is responsible for the effect of an access.
unsafe impl Send for IoMem {}
// SAFETY: any threads may access the mapping side by side: each access is one load or store.
unsafe impl Sync for IoMem {}

impl IoMem {
    /// Wraps a mapping.
    ///
    /// # Safety
    ///
    /// `base` is a multiple of 4 and points to `len` bytes of device memory that stay mapped while
    /// the value is used.
    pub const unsafe fn new(base: *mut u32, len: usize) -> Self {
        Self { base, len }
    }

    /// Reads the register at byte `offset`. The read is not ordered against ordinary memory. An
    /// offset outside the window, or not a multiple of 4, reads as all ones.
    #[inline(always)]
    pub fn read(&self, offset: usize) -> u32 {
        if !offset.is_multiple_of(4) || offset.saturating_add(4) > self.len {
            return u32::MAX;
        }
        // SAFETY: by the check above the offset is inside the mapping and a multiple of 4, as
        // `base` is by the invariants.
        let register = unsafe { self.base.byte_add(offset) };
        #[cfg(target_arch = "aarch64")]
        {
            let value: u32;
            // SAFETY: loads from a mapped, aligned register. Written in assembly, because
            // hypervisors can emulate only this addressing form.
            unsafe {
                core::arch::asm!("ldr {v:w}, [{r}]", v = out(reg) value, r = in(reg) register, options(nostack, preserves_flags))
            };
            value
        }
        #[cfg(not(target_arch = "aarch64"))]
        // SAFETY: the register is mapped and aligned, as shown above.
        unsafe {
            register.read_volatile()
        }
    }

    /// Writes the register at byte `offset`. The write is not ordered against ordinary memory. An
    /// offset outside the window, or not a multiple of 4, writes nothing.
    #[inline(always)]
    pub fn write(&self, offset: usize, value: u32) {
        if !offset.is_multiple_of(4) || offset.saturating_add(4) > self.len {
            return;
        }
        // SAFETY: by the check above the offset is inside the mapping and a multiple of 4, as
        // `base` is by the invariants.
        let register = unsafe { self.base.byte_add(offset) };
        #[cfg(target_arch = "aarch64")]
        // SAFETY: stores to a mapped, aligned register. Written in assembly, because hypervisors
        // can emulate only this addressing form.
        unsafe {
            core::arch::asm!("str {v:w}, [{r}]", v = in(reg) value, r = in(reg) register, options(nostack, preserves_flags));
        }
        #[cfg(not(target_arch = "aarch64"))]
        // SAFETY: the register is mapped and aligned, as shown above.
        unsafe {
            register.write_volatile(value);
        }
    }
}

/// Makes earlier writes to memory visible to devices before later register writes.
#[inline(always)]
pub fn dma_publish() {
    #[cfg(target_arch = "aarch64")]
    // SAFETY: a barrier has no precondition.
    unsafe {
        core::arch::asm!("dmb oshst", options(nostack, preserves_flags));
    }
    #[cfg(not(target_arch = "aarch64"))]
    core::sync::atomic::compiler_fence(core::sync::atomic::Ordering::Release);
}

/// Orders later reads of memory after earlier register reads.
#[inline(always)]
pub fn dma_observe() {
    #[cfg(target_arch = "aarch64")]
    // SAFETY: a barrier has no precondition.
    unsafe {
        core::arch::asm!("dmb oshld", options(nostack, preserves_flags));
    }
    #[cfg(not(target_arch = "aarch64"))]
    core::sync::atomic::compiler_fence(core::sync::atomic::Ordering::Acquire);
}
