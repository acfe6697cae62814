// SPDX-License-Identifier: GPL-2.0-only

//! Files of a process, used by code in the kernel.

use crate::error::{Result, code, to_result};
use crate::inband::Inband;
use bindings as b;
use core::ptr::NonNull;

/// A file that stays open while this value lives, even if the process closes its descriptor.
///
/// # Invariants
///
/// This value holds a reference to the file.
#[derive(Debug)]
pub struct OpenFile(NonNull<b::file>);

// SAFETY: a counted reference to a file may be used and given back by any thread.
unsafe impl Send for OpenFile {}
// SAFETY: threads may call the kernel's file functions for one file side by side; they take the
// file's own locks.
unsafe impl Sync for OpenFile {}

impl OpenFile {
    /// The calling process's file `fd`, for writing.
    ///
    /// # Errors
    ///
    /// `EBADF`: no such file, or it is not open for writing. `EINVAL`: the kernel itself cannot
    /// write to such a file.
    pub fn to_write(_inband: &Inband<'_>, fd: u32) -> Result<Self> {
        // SAFETY: the token proves in-band task context; the function looks the number up in the
        // calling process's table.
        let file = NonNull::new(unsafe { b::fget(fd) }).ok_or(code::EBADF)?;
        // INVARIANT: `fget` took the reference.
        let file = Self(file);
        // SAFETY: the reference keeps the file alive.
        to_result(unsafe { b::file_check_write(file.0.as_ptr()) })?;
        Ok(file)
    }

    /// The file's position, at which a write without a position of its own begins.
    pub fn position(&self) -> i64 {
        // SAFETY: by the invariants this value holds a reference to the file.
        unsafe { b::file_position(self.0.as_ptr()) }
    }

    /// Writes all of `bytes` at `position` and advances it. Files without positions ignore it.
    /// Sleeps.
    ///
    /// # Errors
    ///
    /// The errors of the file; `ENOSPC` if the file accepts no more. A part of the bytes may have
    /// been written.
    pub fn write_all(&self, _inband: &Inband<'_>, mut bytes: &[u8], position: &mut i64) -> Result {
        while !bytes.is_empty() {
            let (from, len) = (bytes.as_ptr().cast(), bytes.len());
            // SAFETY: the file is referenced and open for writing, as `to_write` checked; `from`
            // points to `len` bytes; the token proves that the caller may sleep.
            let written = unsafe { b::kernel_write(self.0.as_ptr(), from, len, position) };
            let written = usize::try_from(written).map_err(|_| {
                // The number is a negative errno, so it fits.
                to_result(written as i32).err().unwrap_or(code::EINVAL)
            })?;
            bytes = match bytes.get(written..) {
                Some(rest) if written > 0 => rest,
                _ => return Err(code::ENOSPC),
            };
        }
        Ok(())
    }
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        // SAFETY: gives back the reference that this value holds.
        unsafe { b::fput(self.0.as_ptr()) };
    }
}
