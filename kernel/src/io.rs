// SPDX-License-Identifier: GPL-2.0-only

//! Device registers, and the order between them and memory that a device shares.

/// A mapped window of 32-bit registers.
///
/// # Invariants
///
/// `base`, aligned as a register is, points to `len` bytes of mapped device memory, for as long as the device is bound.
#[derive(Clone, Copy, Debug)]
pub struct IoMem {
    base: *mut u32,
    len: usize,
}

// SAFETY: registers may be accessed from any thread; what an access does is the driver's affair.
unsafe impl Send for IoMem {}
// SAFETY: as above.
unsafe impl Sync for IoMem {}

impl IoMem {
    /// Wraps a mapping.
    ///
    /// # Safety
    ///
    /// `base` is a multiple of 4 and points to `len` bytes of mapped device memory that stay mapped as long as the value is used.
    pub const unsafe fn new(base: *mut u32, len: usize) -> Self {
        Self { base, len }
    }

    /// Reads the register at byte `offset`, unordered against ordinary memory; all ones outside the window and between registers.
    #[inline(always)]
    pub fn read(&self, offset: usize) -> u32 {
        if !offset.is_multiple_of(4) || offset.saturating_add(4) > self.len {
            return u32::MAX;
        }
        // SAFETY: inside the mapping, and aligned, by the test above and the invariants.
        let register = unsafe { self.base.byte_add(offset) };
        #[cfg(target_arch = "aarch64")]
        {
            let value: u32;
            // SAFETY: a load from a mapped register, in the one addressing form that hypervisors can emulate.
            unsafe {
                core::arch::asm!("ldr {v:w}, [{r}]", v = out(reg) value, r = in(reg) register, options(nostack, preserves_flags))
            };
            value
        }
        #[cfg(not(target_arch = "aarch64"))]
        // SAFETY: a mapped register.
        unsafe {
            register.read_volatile()
        }
    }

    /// Writes the register at byte `offset`, unordered against ordinary memory; nothing outside the window and between registers.
    #[inline(always)]
    pub fn write(&self, offset: usize, value: u32) {
        if !offset.is_multiple_of(4) || offset.saturating_add(4) > self.len {
            return;
        }
        // SAFETY: inside the mapping, and aligned, by the test above and the invariants.
        let register = unsafe { self.base.byte_add(offset) };
        #[cfg(target_arch = "aarch64")]
        // SAFETY: a store to a mapped register, in the one addressing form that hypervisors can emulate.
        unsafe {
            core::arch::asm!("str {v:w}, [{r}]", v = in(reg) value, r = in(reg) register, options(nostack, preserves_flags));
        }
        #[cfg(not(target_arch = "aarch64"))]
        // SAFETY: a mapped register.
        unsafe {
            register.write_volatile(value);
        }
    }
}

/// Earlier writes to memory are visible to devices before later register writes.
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

/// Later reads of memory come after earlier register reads.
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
