// SPDX-License-Identifier: GPL-2.0-only

//! The pool of the kernel cores: [`crate::pool`] over `vmalloc` memory and a hard lock.

use crate::pool::{self, Lists, Memory, memory_for};
use crate::stage::Inband;
use core::ffi::CStr;
use core::ptr::NonNull;
use kernel::alloc::VBytes;
use kernel::error::{Result, code};
use kernel::sync::{LockClass, RawSpinLock};

// SAFETY: the bytes are an allocation of their own, which stays in place while the value lives and
// is initialised with zeroes. Only the value's owner, the pool, reaches them.
unsafe impl Memory for VBytes {
    fn bytes(&mut self) -> NonNull<[u8]> {
        NonNull::from(self.as_mut())
    }
}

/// Blocks of one size.
pub type Pool = pool::Pool<RawSpinLock<Lists>, VBytes>;

static LISTS: LockClass = LockClass::new();
static NAME: &CStr = c"oob pool";

/// A pool of `count` free blocks of `size` bytes each. Allocates.
///
/// # Errors
///
/// `EINVAL`: `count` or `size` is 0 or too large. `ENOMEM`.
pub fn pool(inband: &Inband<'_>, count: u32, size: usize) -> Result<Pool> {
    let len = memory_for(count, size).ok_or(code::EINVAL)?;
    let memory = VBytes::zeroed(inband, len)?;
    let lists = RawSpinLock::new(inband, Lists::new(), NAME, &LISTS)?;
    Pool::new(lists, memory, size).map_err(|_| code::EINVAL)
}
