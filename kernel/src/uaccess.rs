// SPDX-License-Identifier: GPL-2.0-only

//! User memory.
//!
//! ```text
//!   in-band:          read, write ----------------> copy, with page faults
//!   exchange calls:   read_oob, write_oob --------> copy, page faults off --page missing--> counted; copy, with page faults
//!   under any lock:   read_now, write_now --------> copy, page faults off --page missing--> EFAULT
//! ```
//!
//! A program that has locked its memory does not sleep in the second way, but where a page is locked and yet not to be had at
//! once: one to write to that a `fork` has made copy-on-write, one that compaction is just moving.

use crate::error::{Result, code};
use crate::inband::Inband;
use core::ffi::c_void;
use core::marker::PhantomData;
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// One of the kernel's copies: to, from, bytes; what is left.
type Copy = unsafe extern "C" fn(*mut c_void, *const c_void, u64) -> u64;

#[cfg(not(oob_core_evl))]
mod core_copies {
    //! The shim's way: a page that is missing makes the thread go in-band, in all but name.

    use super::Copy;
    use bindings::{copy_from_user, copy_from_user_now, copy_to_user, copy_to_user_now};
    use core::ffi::c_void;

    unsafe extern "C" {
        safe fn oobkit_oob_shim_switched();
    }

    #[inline(always)]
    unsafe fn copy(now: Copy, sleeping: Copy, to: *mut c_void, from: *const c_void, n: u64) -> u64 {
        // SAFETY: by the caller's contract.
        match unsafe { now(to, from, n) } {
            0 => 0,
            // SAFETY: as above.
            _ => unsafe { copy_inband(sleeping, to, from, n) },
        }
    }

    #[cold]
    unsafe fn copy_inband(sleeping: Copy, to: *mut c_void, from: *const c_void, n: u64) -> u64 {
        // SAFETY: by the caller's contract.
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
        // SAFETY: by contract; the user's side is checked by the calls.
        unsafe { copy(copy_from_user_now, copy_from_user, to, from, n) }
    }

    /// # Safety
    ///
    /// `from` has `n` initialised bytes.
    #[inline]
    pub(super) unsafe fn to_user(to: *mut c_void, from: *const c_void, n: u64) -> u64 {
        // SAFETY: as above.
        unsafe { copy(copy_to_user_now, copy_to_user, to, from, n) }
    }
}

#[cfg(oob_core_evl)]
mod core_copies {
    //! EVL's way: a page that is missing brings the thread in-band, and the copy goes on.
    pub(super) use bindings::{raw_copy_from_user as from_user, raw_copy_to_user as to_user};
}

/// An address that a user gave; nothing is known of it. It stays in the call that it was given to: no handler can keep it.
#[derive(Clone, Copy, Debug)]
pub struct UserPtr(usize, PhantomData<*mut ()>);

impl UserPtr {
    /// Wraps the argument of a system call.
    pub(crate) const fn new(address: usize) -> Self {
        Self(address, PhantomData)
    }

    /// Reads a `T`; may fault pages in.
    ///
    /// # Errors
    ///
    /// `EFAULT`.
    pub fn read<T: FromBytes + IntoBytes>(self, _inband: &Inband<'_>) -> Result<T> {
        // SAFETY: that is what it does.
        unsafe { self.read_by(bindings::copy_from_user) }
    }

    /// Reads a `T` by a copy from the user.
    ///
    /// # Safety
    ///
    /// `copy` checks the user's side, may be called here, and writes the given number of bytes at most.
    #[inline]
    unsafe fn read_by<T: FromBytes + IntoBytes>(self, copy: Copy) -> Result<T> {
        let mut value = T::new_zeroed();
        let (to, n) = ((&raw mut value).cast(), size_of::<T>() as u64);
        // SAFETY: `value` has that many bytes, any content is valid for it; the rest is the contract.
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

    /// Reads a `T` without ever sleeping, under a hard lock, too. Not on EVL, where a page that is missing takes the thread
    /// in-band, whatever it holds.
    ///
    /// # Errors
    ///
    /// `EFAULT`, also where a page is missing just now.
    #[cfg(not(oob_core_evl))]
    pub fn read_now<T: FromBytes + IntoBytes>(self) -> Result<T> {
        // SAFETY: that is what it does, and it may be called anywhere.
        unsafe { self.read_by(bindings::copy_from_user_now) }
    }

    /// As [`Self::read_now`], the other way. Of what goes over the end of a page that is there, the first part may be written.
    ///
    /// # Errors
    ///
    /// `EFAULT`, also where a page is missing just now, or must be copied before it is written to.
    #[cfg(not(oob_core_evl))]
    pub fn write_now<T: IntoBytes + Immutable>(self, value: &T) -> Result {
        // SAFETY: that is what it does, and it may be called anywhere.
        unsafe { self.write_by(bindings::copy_to_user_now, value) }
    }

    #[inline]
    fn read_bytes_oob(self, into: &mut [u8]) -> Result {
        let (to, n) = (into.as_mut_ptr().cast(), into.len() as u64);
        // SAFETY: as many bytes, any content is valid for them; the user's side is checked by the call.
        match unsafe { core_copies::from_user(to, self.0 as *const _, n) } {
            0 => Ok(()),
            _ => Err(code::EFAULT),
        }
    }

    #[inline]
    fn write_bytes_oob(self, from: &[u8]) -> Result {
        let (from, n) = (from.as_ptr().cast(), from.len() as u64);
        // SAFETY: as many initialised bytes; the user's side is checked by the call.
        match unsafe { core_copies::to_user(self.0 as *mut _, from, n) } {
            0 => Ok(()),
            _ => Err(code::EFAULT),
        }
    }

    /// Writes a `T`; may fault pages in.
    ///
    /// # Errors
    ///
    /// `EFAULT`.
    pub fn write<T: IntoBytes + Immutable>(self, _inband: &Inband<'_>, value: &T) -> Result {
        // SAFETY: that is what it does.
        unsafe { self.write_by(bindings::copy_to_user, value) }
    }

    /// Writes a `T` by a copy to the user.
    ///
    /// # Safety
    ///
    /// `copy` checks the user's side, may be called here, and reads the given number of bytes at most.
    #[inline]
    unsafe fn write_by<T: IntoBytes + Immutable>(self, copy: Copy, value: &T) -> Result {
        let from = value.as_bytes();
        let (from, n) = (from.as_ptr().cast(), from.len() as u64);
        // SAFETY: `from` has that many initialised bytes; the rest is the contract.
        match unsafe { copy(self.0 as *mut _, from, n) } {
            0 => Ok(()),
            _ => Err(code::EFAULT),
        }
    }
}

/// The buffer of a `read` or `write`; each part of it is used once, from the beginning on. It stays in its call, too.
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

    /// Bytes that are left.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether none are left.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn advance(&mut self, by: usize) -> Result<UserPtr> {
        let at = self.next;
        self.len = self.len.checked_sub(by).ok_or(code::EFAULT)?;
        // An address that goes round is no user's: the copy refuses it.
        self.next = UserPtr::new(at.0.wrapping_add(by));
        Ok(at)
    }

    /// Reads the next bytes for a `write` call, without sleeping unless a page is missing.
    ///
    /// # Errors
    ///
    /// `EFAULT`, also where there are fewer left.
    pub fn read_oob(&mut self, into: &mut [u8]) -> Result {
        self.advance(into.len())?.read_bytes_oob(into)
    }

    /// Writes the next bytes for a `read` call, without sleeping unless a page is missing.
    ///
    /// # Errors
    ///
    /// `EFAULT`, also where there are fewer left.
    pub fn write_oob(&mut self, from: &[u8]) -> Result {
        self.advance(from.len())?.write_bytes_oob(from)
    }
}
