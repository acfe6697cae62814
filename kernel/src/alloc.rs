// SPDX-License-Identifier: GPL-2.0-only

//! Memory from the kernel's allocator, which may sleep: so making takes the in-band token. Giving back is for in-band,
//! too, but nothing can make a drop take one.

use crate::error::{Result, code};
use crate::inband::Inband;
use core::mem::MaybeUninit;
use core::ops::{Deref, DerefMut};
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicUsize, Ordering, fence};

/// One value in memory of its own; its address never changes.
///
/// # Invariants
///
/// The pointer came from `kzalloc` with room for a `T`, holds an initialised `T`, and is owned.
#[derive(Debug)]
pub struct KBox<T>(NonNull<T>);

// SAFETY: a box owns its value, like the value itself.
unsafe impl<T: Send> Send for KBox<T> {}
// SAFETY: sharing the box shares the value, nothing else.
unsafe impl<T: Sync> Sync for KBox<T> {}

impl<T> KBox<T> {
    /// Allocates and moves `value` in.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn new(_inband: &Inband<'_>, value: T) -> Result<Self> {
        const {
            assert!(
                align_of::<T>() <= 8 || size_of::<T>().is_power_of_two(),
                "kmalloc aligns to 8 only"
            )
        };
        // SAFETY: in-band, by the token; allocation has no other precondition.
        let memory: *mut T = unsafe { bindings::kzalloc(size_of::<T>().max(1)) }.cast();
        let memory = NonNull::new(memory).ok_or(code::ENOMEM)?;
        // SAFETY: freshly allocated, large and aligned enough.
        unsafe { memory.write(value) };
        Ok(Self(memory))
    }

    /// Gives the box away as a pointer.
    pub fn into_raw(this: Self) -> *mut T {
        let pointer = this.0.as_ptr();
        core::mem::forget(this);
        pointer
    }

    /// Takes back what [`Self::into_raw`] gave.
    ///
    /// # Safety
    ///
    /// `pointer` came from `into_raw`, and is not used otherwise again.
    pub unsafe fn from_raw(pointer: *mut T) -> Self {
        // SAFETY: `into_raw` gives no null pointer.
        Self(unsafe { NonNull::new_unchecked(pointer) })
    }
}

impl<T> KBox<MaybeUninit<T>> {
    /// Zeroed room for a C structure that must be initialised in place.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn zeroed(inband: &Inband<'_>) -> Result<Self> {
        Self::new(inband, MaybeUninit::zeroed())
    }
}

impl<T> Deref for KBox<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: by the invariants.
        unsafe { self.0.as_ref() }
    }
}

impl<T> DerefMut for KBox<T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: by the invariants, and `self` is borrowed uniquely.
        unsafe { self.0.as_mut() }
    }
}

impl<T> Drop for KBox<T> {
    fn drop(&mut self) {
        // SAFETY: by the invariants the value is initialised and not used again.
        unsafe { ptr::drop_in_place(self.0.as_ptr()) };
        // SAFETY: by the invariants the memory is the allocator's.
        unsafe { bindings::kfree(self.0.as_ptr().cast()) };
    }
}

/// Bytes in memory that need not be contiguous for a device.
#[derive(Debug)]
pub struct VBytes(NonNull<[u8]>);

// SAFETY: the bytes belong to the value alone.
unsafe impl Send for VBytes {}
// SAFETY: as above.
unsafe impl Sync for VBytes {}

impl VBytes {
    /// Allocates `len` zeroes.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn zeroed(_inband: &Inband<'_>, len: usize) -> Result<Self> {
        // SAFETY: as for `KBox::new`.
        let memory = NonNull::new(unsafe { bindings::vzalloc(len as u64) }).ok_or(code::ENOMEM)?;
        Ok(Self(NonNull::slice_from_raw_parts(memory.cast(), len)))
    }
}

impl AsRef<[u8]> for VBytes {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: allocated and initialised in `zeroed`.
        unsafe { self.0.as_ref() }
    }
}

impl AsMut<[u8]> for VBytes {
    fn as_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and `self` is borrowed uniquely.
        unsafe { self.0.as_mut() }
    }
}

impl Drop for VBytes {
    fn drop(&mut self) {
        // SAFETY: allocated in `zeroed`.
        unsafe { bindings::vfree(self.0.as_ptr().cast_const().cast()) };
    }
}

struct Counted<T> {
    count: AtomicUsize,
    value: T,
}

/// One value with several owners.
#[derive(Debug)]
pub struct KArc<T>(NonNull<Counted<T>>);

// SAFETY: owners on several threads share the value and any of them may drop it.
unsafe impl<T: Send + Sync> Send for KArc<T> {}
// SAFETY: as for Send.
unsafe impl<T: Send + Sync> Sync for KArc<T> {}

impl<T> KArc<T> {
    /// Allocates and moves `value` in, with one owner.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn new(inband: &Inband<'_>, value: T) -> Result<Self> {
        let count = AtomicUsize::new(1);
        let counted = KBox::new(inband, Counted { count, value })?;
        // SAFETY: `into_raw` gives no null pointer.
        Ok(Self(unsafe {
            NonNull::new_unchecked(KBox::into_raw(counted))
        }))
    }

    fn counted(&self) -> &Counted<T> {
        // SAFETY: the memory lives as long as one owner, and `self` is one.
        unsafe { self.0.as_ref() }
    }

    /// Whether this is the only owner; then nobody else can become one meanwhile.
    pub fn is_unique(this: &Self) -> bool {
        this.counted().count.load(Ordering::Acquire) == 1
    }

    /// Gives this owner away as a pointer to the value.
    pub fn into_raw(this: Self) -> *const T {
        let counted = this.0.as_ptr();
        core::mem::forget(this);
        // SAFETY: alive, since this owner's count stays. Not from a reference to the value: `from_raw` goes back from there to
        // the count.
        unsafe { &raw const (*counted).value }
    }

    /// Takes back an owner that [`Self::into_raw`] gave.
    ///
    /// # Safety
    ///
    /// `pointer` came from `into_raw` and stands for one owner, which passes to the result.
    pub unsafe fn from_raw(pointer: *const T) -> Self {
        // SAFETY: `into_raw` pointed at the field `value` of a `Counted<T>`.
        let counted = unsafe { pointer.byte_sub(core::mem::offset_of!(Counted<T>, value)) };
        // SAFETY: inside a live allocation, so not null.
        Self(unsafe { NonNull::new_unchecked(counted.cast_mut().cast()) })
    }
}

impl<T> Clone for KArc<T> {
    fn clone(&self) -> Self {
        self.counted().count.fetch_add(1, Ordering::Relaxed);
        Self(self.0)
    }
}

impl<T> Deref for KArc<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.counted().value
    }
}

impl<T> Drop for KArc<T> {
    fn drop(&mut self) {
        if self.counted().count.fetch_sub(1, Ordering::Release) == 1 {
            fence(Ordering::Acquire);
            // SAFETY: the last owner is gone; the pointer came from a box.
            drop(unsafe { KBox::from_raw(self.0.as_ptr()) });
        }
    }
}
