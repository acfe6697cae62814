// SPDX-License-Identifier: GPL-2.0-only

//! The pool of the kernel's cores: [`crate::pool`] over memory of `vmalloc` and a hard lock.

use crate::pool::{self, Lists, memory_for};
use crate::stage::Inband;
use core::ffi::CStr;
use kernel::alloc::VBytes;
use kernel::error::{Result, code};
use kernel::sync::{LockClass, RawSpinLock};

/// Blocks of one size.
pub type Pool = pool::Pool<RawSpinLock<Lists>, VBytes>;

static LISTS: LockClass = LockClass::new();
static NAME: &CStr = c"oob pool";

/// A pool of `count` blocks of `size` bytes, all free. Allocates.
///
/// # Errors
///
/// `EINVAL`: no blocks, blocks of no bytes, or more than can be counted. `ENOMEM`.
pub fn pool(inband: &Inband<'_>, count: u32, size: usize) -> Result<Pool> {
    let len = memory_for(count, size).ok_or(code::EINVAL)?;
    let memory = VBytes::zeroed(inband, len)?;
    let lists = RawSpinLock::new(inband, Lists::new(), NAME, &LISTS)?;
    Pool::new(lists, memory, size).map_err(|_| code::EINVAL)
}
