// SPDX-License-Identifier: GPL-2.0-only

//! Files that a process has open, as the kernel's own code uses them.

use crate::error::{Result, code, to_result};
use crate::inband::Inband;
use bindings as b;
use core::ptr::NonNull;

/// A file, open for as long as this value lives, whatever the process does with its descriptor.
///
/// # Invariants
///
/// A reference to the file is held.
#[derive(Debug)]
pub struct OpenFile(NonNull<b::file>);

// SAFETY: the kernel's files synchronise themselves.
unsafe impl Send for OpenFile {}
// SAFETY: as above.
unsafe impl Sync for OpenFile {}

impl OpenFile {
    /// The calling process's file `fd`, to be written to.
    ///
    /// # Errors
    ///
    /// `EBADF`: no such file, or not open for writing. `EINVAL`: one to which the kernel itself cannot write.
    pub fn to_write(_inband: &Inband<'_>, fd: u32) -> Result<Self> {
        // SAFETY: task context of a process.
        let file = NonNull::new(unsafe { b::fget(fd) }).ok_or(code::EBADF)?;
        // INVARIANT: `fget` took the reference.
        let file = Self(file);
        // SAFETY: a live file.
        to_result(unsafe { b::file_check_write(file.0.as_ptr()) })?;
        Ok(file)
    }

    /// Where a write begins that nobody has given another position.
    pub fn position(&self) -> i64 {
        // SAFETY: a live file.
        unsafe { b::file_position(self.0.as_ptr()) }
    }

    /// Writes all of `bytes` at `position`, which moves on; a file without positions does not look at it. Sleeps.
    ///
    /// # Errors
    ///
    /// Those of the file; `ENOSPC` where it takes no more. A part may have been written.
    pub fn write_all(&self, _inband: &Inband<'_>, mut bytes: &[u8], position: &mut i64) -> Result {
        while !bytes.is_empty() {
            let (from, len) = (bytes.as_ptr().cast(), bytes.len());
            // SAFETY: a live file, open for writing, and as many bytes.
            let written = unsafe { b::kernel_write(self.0.as_ptr(), from, len, position) };
            let written = usize::try_from(written).map_err(|_| {
                // An errno, so it is a small number.
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
        // SAFETY: by the invariants.
        unsafe { b::fput(self.0.as_ptr()) };
    }
}
