// SPDX-License-Identifier: GPL-2.0-only

//! Numbers to read in debugfs.

use bindings as b;
use core::ffi::CStr;
use core::sync::atomic::AtomicU64;

/// A folder directly below debugfs' root; gone with its files when dropped. Where debugfs is off, it does nothing.
#[derive(Debug)]
pub struct Dir(*mut b::dentry);

// SAFETY: debugfs synchronises itself.
unsafe impl Send for Dir {}
// SAFETY: as above.
unsafe impl Sync for Dir {}

impl Dir {
    /// Makes the folder; sleeps.
    pub fn new(name: &CStr) -> Self {
        // SAFETY: the name is copied; a null parent is the root.
        Self(unsafe { b::debugfs_create_dir(name.as_ptr(), core::ptr::null_mut()) })
    }

    /// Shows `value` as a decimal number.
    ///
    /// # Safety
    ///
    /// `value` outlives the folder.
    pub unsafe fn show(&self, name: &CStr, value: *const AtomicU64) {
        // SAFETY: read-only, and alive by contract.
        unsafe { b::debugfs_create_u64(name.as_ptr(), 0o444, self.0, value.cast_mut().cast()) };
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        // SAFETY: made in `new`; errors encoded in the pointer are accepted.
        unsafe { b::debugfs_remove(self.0) };
    }
}
