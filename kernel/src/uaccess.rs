// SPDX-License-Identifier: GPL-2.0-only

//! User memory.

use crate::error::{Result, code};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// An address that a user gave; nothing is known of it.
#[derive(Clone, Copy, Debug)]
pub struct UserPtr(usize);

impl UserPtr {
    /// Wraps the argument of a system call.
    pub const fn new(address: usize) -> Self {
        Self(address)
    }

    /// Reads a `T`; may fault pages in.
    ///
    /// # Errors
    ///
    /// `EFAULT`.
    pub fn read<T: FromBytes + IntoBytes>(self) -> Result<T> {
        let mut value = T::new_zeroed();
        let to = (&raw mut value).cast();
        // SAFETY: `value` has that many bytes, any content is valid for it; the user's side is checked by the call.
        let left =
            unsafe { bindings::copy_from_user(to, self.0 as *const _, size_of::<T>() as u64) };
        if left == 0 {
            Ok(value)
        } else {
            Err(code::EFAULT)
        }
    }

    /// Reads a `T` for an exchange call. On EVL it stays out-of-band, unless a page is missing.
    ///
    /// # Errors
    ///
    /// `EFAULT`.
    pub fn read_oob<T: FromBytes + IntoBytes>(self) -> Result<T> {
        #[cfg(not(oob_core_evl))]
        return self.read();
        #[cfg(oob_core_evl)]
        {
            let mut value = T::new_zeroed();
            let to = (&raw mut value).cast();
            let len = size_of::<T>() as u64;
            // SAFETY: `value` has that many bytes, any content is valid for it; the helper checks the user's side.
            match unsafe { bindings::raw_copy_from_user(to, self.0 as *const _, len) } {
                0 => Ok(value),
                _ => Err(code::EFAULT),
            }
        }
    }

    /// Writes a `T` for an exchange call. On EVL it stays out-of-band, unless a page is missing.
    ///
    /// # Errors
    ///
    /// `EFAULT`.
    pub fn write_oob<T: IntoBytes + Immutable>(self, value: &T) -> Result {
        #[cfg(not(oob_core_evl))]
        return self.write(value);
        #[cfg(oob_core_evl)]
        {
            let from = value.as_bytes();
            let len = from.len() as u64;
            // SAFETY: `from` has that many initialised bytes; the helper checks the user's side.
            match unsafe { bindings::raw_copy_to_user(self.0 as *mut _, from.as_ptr().cast(), len) }
            {
                0 => Ok(()),
                _ => Err(code::EFAULT),
            }
        }
    }

    /// Writes a `T`; may fault pages in.
    ///
    /// # Errors
    ///
    /// `EFAULT`.
    pub fn write<T: IntoBytes + Immutable>(self, value: &T) -> Result {
        let from = value.as_bytes();
        // SAFETY: `from` has that many initialised bytes; the user's side is checked by the call.
        let left = unsafe {
            bindings::copy_to_user(self.0 as *mut _, from.as_ptr().cast(), from.len() as u64)
        };
        if left == 0 { Ok(()) } else { Err(code::EFAULT) }
    }
}
