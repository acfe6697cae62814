// SPDX-License-Identifier: GPL-2.0-only

//! User memory.
//!
//! ```text
//!   in-band:          read, write ----------------> copies with page faults on
//!   exchange calls:   read_oob, write_oob --------> copies with page faults off --page missing--> counts it; page faults on
//!   under any lock:   read_now, write_now --------> copies with page faults off --page missing--> EFAULT
//! ```
//!
//! If the program has locked its memory, the copies of exchange calls do not sleep. There are two
//! exceptions: a page to write to that a `fork` has made copy-on-write, and a page that compaction
//! is moving.

use crate::error::{Result, code};
use crate::inband::Inband;
use core::ffi::c_void;
use core::marker::PhantomData;
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// A copy function of the kernel: takes destination, source and length, and returns the number of
/// bytes not copied.
type Copy = unsafe extern "C" fn(*mut c_void, *const c_void, u64) -> u64;

#[cfg(not(oob_core_evl))]
mod core_copies {
    //! The shim's copies. If a page is missing, the thread copies with page faults on, as in-band
    //! code does; that counts as a stage switch.

    use super::Copy;
    use bindings::{copy_from_user, copy_from_user_now, copy_to_user, copy_to_user_now};
    use core::ffi::c_void;

    unsafe extern "C" {
        safe fn oobkit_oob_shim_switched();
    }

    /// # Safety
    ///
    /// The kernel's side of the copy has `n` bytes: room for them, or initialised ones.
    #[inline(always)]
    unsafe fn copy(now: Copy, sleeping: Copy, to: *mut c_void, from: *const c_void, n: u64) -> u64 {
        // SAFETY: the kernel's side has `n` bytes, by contract; the function checks the user's
        // side.
        match unsafe { now(to, from, n) } {
            0 => 0,
            // SAFETY: the kernel's side has `n` bytes, by contract.
            _ => unsafe { copy_inband(sleeping, to, from, n) },
        }
    }

    /// # Safety
    ///
    /// As for [`copy`].
    #[cold]
    unsafe fn copy_inband(sleeping: Copy, to: *mut c_void, from: *const c_void, n: u64) -> u64 {
        // SAFETY: the kernel's side has `n` bytes, by contract; the function checks the user's
        // side.
        let left = unsafe { sleeping(to, from, n) };
        if left == 0 {
            oobkit_oob_shim_switched();
        }
        left
    }

    /// # Safety
    ///
    /// `to` has room for `n` bytes.
    #[inline]
    pub(super) unsafe fn from_user(to: *mut c_void, from: *const c_void, n: u64) -> u64 {
        // SAFETY: `to` has room for `n` bytes, by contract.
        unsafe { copy(copy_from_user_now, copy_from_user, to, from, n) }
    }

    /// # Safety
    ///
    /// `from` has `n` initialised bytes.
    #[inline]
    pub(super) unsafe fn to_user(to: *mut c_void, from: *const c_void, n: u64) -> u64 {
        // SAFETY: `from` has `n` initialised bytes, by contract.
        unsafe { copy(copy_to_user_now, copy_to_user, to, from, n) }
    }
}

#[cfg(oob_core_evl)]
mod core_copies {
    //! EVL's copies. If a page is missing, EVL brings the thread in-band, and the copy goes on.
    pub(super) use bindings::{raw_copy_from_user as from_user, raw_copy_to_user as to_user};
}

/// An unchecked address from a user program. It is not Send, so it stays in the call that received
/// it: no handler can keep it.
#[derive(Clone, Copy, Debug)]
pub struct UserPtr(usize, PhantomData<*mut ()>);

impl UserPtr {
    /// Wraps the argument of a system call.
    pub(crate) const fn new(address: usize) -> Self {
        Self(address, PhantomData)
    }

    /// Reads a `T`; page faults may make it sleep.
    ///
    /// # Errors
    ///
    /// `EFAULT`.
    pub fn read<T: FromBytes + IntoBytes>(self, _inband: &Inband<'_>) -> Result<T> {
        // SAFETY: `copy_from_user` checks the user's side, writes at most the given number of
        // bytes, and may sleep, as the token allows.
        unsafe { self.read_by(bindings::copy_from_user) }
    }

    /// Reads a `T` with `copy`.
    ///
    /// # Safety
    ///
    /// `copy` checks the user's side, may be called in the caller's context, and writes at most the
    /// given number of bytes.
    #[inline]
    unsafe fn read_by<T: FromBytes + IntoBytes>(self, copy: Copy) -> Result<T> {
        let mut value = T::new_zeroed();
        let (to, n) = ((&raw mut value).cast(), size_of::<T>() as u64);
        // SAFETY: `value` has `n` bytes, for which any content is valid; `copy` keeps this
        // function's contract.
        match unsafe { copy(to, self.0 as *const _, n) } {
            0 => Ok(value),
            _ => Err(code::EFAULT),
        }
    }

    /// Reads a `T` for an exchange call, without sleeping unless a page is missing.
    ///
    /// # Errors
    ///
    /// `EFAULT`.
    #[inline]
    pub fn read_oob<T: FromBytes + IntoBytes>(self) -> Result<T> {
        let mut value = T::new_zeroed();
        self.read_bytes_oob(value.as_mut_bytes()).map(|()| value)
    }

    /// Writes a `T` for an exchange call, without sleeping unless a page is missing.
    ///
    /// # Errors
    ///
    /// `EFAULT`.
    #[inline]
    pub fn write_oob<T: IntoBytes + Immutable>(self, value: &T) -> Result {
        self.write_bytes_oob(value.as_bytes())
    }

    /// Reads a `T` and never sleeps, so it may be used under a hard lock. Not available on EVL,
    /// where a missing page takes the thread in-band even if it holds a lock.
    ///
    /// # Errors
    ///
    /// `EFAULT`, also if a page is missing at the moment.
    #[cfg(not(oob_core_evl))]
    pub fn read_now<T: FromBytes + IntoBytes>(self) -> Result<T> {
        // SAFETY: `copy_from_user_now` checks the user's side, writes at most the given number of
        // bytes, and may be called in any context.
        unsafe { self.read_by(bindings::copy_from_user_now) }
    }

    /// As [`Self::read_now`], for writing. If the value crosses into a missing page, its first part
    /// may have been written.
    ///
    /// # Errors
    ///
    /// `EFAULT`, also if a page is missing at the moment, or must be copied before it can be
    /// written.
    #[cfg(not(oob_core_evl))]
    pub fn write_now<T: IntoBytes + Immutable>(self, value: &T) -> Result {
        // SAFETY: `copy_to_user_now` checks the user's side, reads at most the given number of
        // bytes, and may be called in any context.
        unsafe { self.write_by(bindings::copy_to_user_now, value) }
    }

    #[inline]
    fn read_bytes_oob(self, into: &mut [u8]) -> Result {
        let (to, n) = (into.as_mut_ptr().cast(), into.len() as u64);
        // SAFETY: `into` has `n` bytes, for which any content is valid; the function checks the
        // user's side.
        match unsafe { core_copies::from_user(to, self.0 as *const _, n) } {
            0 => Ok(()),
            _ => Err(code::EFAULT),
        }
    }

    #[inline]
    fn write_bytes_oob(self, from: &[u8]) -> Result {
        let (from, n) = (from.as_ptr().cast(), from.len() as u64);
        // SAFETY: `from` has `n` initialised bytes; the function checks the user's side.
        match unsafe { core_copies::to_user(self.0 as *mut _, from, n) } {
            0 => Ok(()),
            _ => Err(code::EFAULT),
        }
    }

    /// Writes a `T`; page faults may make it sleep.
    ///
    /// # Errors
    ///
    /// `EFAULT`.
    pub fn write<T: IntoBytes + Immutable>(self, _inband: &Inband<'_>, value: &T) -> Result {
        // SAFETY: `copy_to_user` checks the user's side, reads at most the given number of bytes,
        // and may sleep, as the token allows.
        unsafe { self.write_by(bindings::copy_to_user, value) }
    }

    /// Writes a `T` with `copy`.
    ///
    /// # Safety
    ///
    /// `copy` checks the user's side, may be called in the caller's context, and reads at most the
    /// given number of bytes.
    #[inline]
    unsafe fn write_by<T: IntoBytes + Immutable>(self, copy: Copy, value: &T) -> Result {
        let from = value.as_bytes();
        let (from, n) = (from.as_ptr().cast(), from.len() as u64);
        // SAFETY: `from` has `n` initialised bytes; `copy` keeps this function's contract.
        match unsafe { copy(self.0 as *mut _, from, n) } {
            0 => Ok(()),
            _ => Err(code::EFAULT),
        }
    }
}

/// The user's buffer of a `read` or `write`. Each part is used once, from the beginning on. Like a
/// [`UserPtr`] it stays in its call.
#[derive(Debug)]
pub struct UserSlice {
    next: UserPtr,
    len: usize,
}

impl UserSlice {
    /// Wraps the arguments of a system call.
    pub(crate) const fn new(address: usize, len: usize) -> Self {
        let next = UserPtr::new(address);
        Self { next, len }
    }

    /// The number of bytes left.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether no bytes are left.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn advance(&mut self, by: usize) -> Result<UserPtr> {
        let at = self.next;
        self.len = self.len.checked_sub(by).ok_or(code::EFAULT)?;
        // An address that wraps is no user address: the copy refuses it.
        self.next = UserPtr::new(at.0.wrapping_add(by));
        Ok(at)
    }

    /// Reads the next bytes for a `write` call, without sleeping unless a page is missing.
    ///
    /// # Errors
    ///
    /// `EFAULT`, also if fewer bytes are left.
    pub fn read_oob(&mut self, into: &mut [u8]) -> Result {
        self.advance(into.len())?.read_bytes_oob(into)
    }

    /// Writes the next bytes for a `read` call, without sleeping unless a page is missing.
    ///
    /// # Errors
    ///
    /// `EFAULT`, also if fewer bytes are left.
    pub fn write_oob(&mut self, from: &[u8]) -> Result {
        self.advance(from.len())?.write_bytes_oob(from)
    }
}
