// SPDX-License-Identifier: GPL-2.0-only

//! Memory from the kernel's allocator. Allocation may sleep, so it takes the in-band token. Freeing
//! also belongs in-band, but a drop cannot take a token.

use crate::error::{Result, code};
use crate::inband::Inband;
use core::mem::MaybeUninit;
use core::ops::{Deref, DerefMut};
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicUsize, Ordering, fence};

/// One value in an allocation of its own; its address never changes.
///
/// # Invariants
///
/// The pointer came from `kzalloc` with room for a `T` and points to an initialised `T`. The box
/// owns both.
#[derive(Debug)]
pub struct KBox<T>(NonNull<T>);

// SAFETY: sending the box sends the `T` that it owns, which is Send.
unsafe impl<T: Send> Send for KBox<T> {}
// SAFETY: a shared box gives only a shared `T`, which is Sync.
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
                "kmalloc aligns to 8 bytes, or to the size if that is a power of two"
            )
        };
        // SAFETY: the token proves that the caller may sleep; allocation has no other precondition.
        let memory: *mut T = unsafe { bindings::kzalloc(size_of::<T>().max(1)) }.cast();
        let memory = NonNull::new(memory).ok_or(code::ENOMEM)?;
        // SAFETY: the allocation is new, at least as large as a `T`, and aligned for it by the
        // assertion above.
        unsafe { memory.write(value) };
        Ok(Self(memory))
    }

    /// Turns the box into a pointer, which then owns the value.
    pub fn into_raw(this: Self) -> *mut T {
        let pointer = this.0.as_ptr();
        core::mem::forget(this);
        pointer
    }

    /// Turns a pointer from [`Self::into_raw`] back into a box.
    ///
    /// # Safety
    ///
    /// `pointer` came from `into_raw`, and no other code uses it afterwards.
    pub unsafe fn from_raw(pointer: *mut T) -> Self {
        // SAFETY: `into_raw` returns the pointer of a `NonNull`.
        Self(unsafe { NonNull::new_unchecked(pointer) })
    }
}

impl<T> KBox<MaybeUninit<T>> {
    /// Zeroed memory for a C structure that must be initialised in place.
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
        // SAFETY: by the invariants the pointer is to an initialised `T` that this box owns.
        unsafe { self.0.as_ref() }
    }
}

impl<T> DerefMut for KBox<T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: by the invariants the pointer is to an initialised `T` that this box owns, and
        // `self` is borrowed uniquely.
        unsafe { self.0.as_mut() }
    }
}

impl<T> Drop for KBox<T> {
    fn drop(&mut self) {
        // SAFETY: by the invariants the value is initialised and owned; it is not used after this
        // drop.
        unsafe { ptr::drop_in_place(self.0.as_ptr()) };
        // SAFETY: by the invariants the memory came from `kzalloc`, and the value in it has been
        // dropped.
        unsafe { bindings::kfree(self.0.as_ptr().cast()) };
    }
}

/// Bytes in `vmalloc` memory, which is contiguous only for the processor.
#[derive(Debug)]
pub struct VBytes(NonNull<[u8]>);

// SAFETY: the value owns its bytes, which belong to no thread.
unsafe impl Send for VBytes {}
// SAFETY: a shared reference gives only a shared slice of bytes.
unsafe impl Sync for VBytes {}

impl VBytes {
    /// Allocates `len` bytes of zeroes.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn zeroed(_inband: &Inband<'_>, len: usize) -> Result<Self> {
        // SAFETY: the token proves that the caller may sleep; allocation has no other precondition.
        let memory = NonNull::new(unsafe { bindings::vzalloc(len as u64) }).ok_or(code::ENOMEM)?;
        Ok(Self(NonNull::slice_from_raw_parts(memory.cast(), len)))
    }
}

impl AsRef<[u8]> for VBytes {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: `zeroed` allocated and initialised these bytes, which this value owns.
        unsafe { self.0.as_ref() }
    }
}

impl AsMut<[u8]> for VBytes {
    fn as_mut(&mut self) -> &mut [u8] {
        // SAFETY: `zeroed` allocated and initialised these bytes, which this value owns, and `self`
        // is borrowed uniquely.
        unsafe { self.0.as_mut() }
    }
}

impl Drop for VBytes {
    fn drop(&mut self) {
        // SAFETY: `zeroed` allocated the bytes with `vzalloc`, and no reference to them is left.
        unsafe { bindings::vfree(self.0.as_ptr().cast_const().cast()) };
    }
}

struct Counted<T> {
    count: AtomicUsize,
    value: T,
}

/// One value with several owners, by a reference count.
#[derive(Debug)]
pub struct KArc<T>(NonNull<Counted<T>>);

// SAFETY: owners on several threads share the value, which is Sync, and any of them may drop it,
// because it is Send.
unsafe impl<T: Send + Sync> Send for KArc<T> {}
// SAFETY: a shared owner gives a shared value, which is Sync, and can be cloned into an owner on
// another thread, which needs Send.
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
        // SAFETY: `into_raw` returns the pointer of a `NonNull`.
        Ok(Self(unsafe {
            NonNull::new_unchecked(KBox::into_raw(counted))
        }))
    }

    fn counted(&self) -> &Counted<T> {
        // SAFETY: the memory lives while the value has an owner, and `self` is one.
        unsafe { self.0.as_ref() }
    }

    /// Whether this is the only owner. If so, no other owner can appear meanwhile, because only an
    /// owner can be cloned.
    pub fn is_unique(this: &Self) -> bool {
        this.counted().count.load(Ordering::Acquire) == 1
    }

    /// Turns this owner into a pointer to the value.
    pub fn into_raw(this: Self) -> *const T {
        let counted = this.0.as_ptr();
        core::mem::forget(this);
        // SAFETY: the memory stays allocated, because this owner's reference count stays. The
        // pointer is not made from a reference to the value, because `from_raw` uses it to reach
        // the count.
        unsafe { &raw const (*counted).value }
    }

    /// Turns a pointer from [`Self::into_raw`] back into an owner.
    ///
    /// # Safety
    ///
    /// `pointer` came from `into_raw` and stands for one owner, which becomes the result.
    pub unsafe fn from_raw(pointer: *const T) -> Self {
        // SAFETY: `into_raw` pointed at the field `value` of a `Counted<T>`.
        let counted = unsafe { pointer.byte_sub(core::mem::offset_of!(Counted<T>, value)) };
        // SAFETY: the pointer is to a live allocation, so it is not null.
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
            // SAFETY: this was the last owner, so no other code uses the allocation, which came
            // from a box in `new`.
            drop(unsafe { KBox::from_raw(self.0.as_ptr()) });
        }
    }
}
