// SPDX-License-Identifier: GPL-2.0-only

//! A process's view of a device's memory.

use crate::alloc::KArc;
use crate::inband::Inband;
use core::ffi::c_void;
use core::marker::PhantomData;

/// A mapping that its file's `mmap` is setting up; who has one is in that call, in-band.
#[derive(Debug)]
pub struct Vma<'a>(*mut bindings::vm_area_struct, PhantomData<&'a ()>);

impl Vma<'_> {
    /// Wraps what `->mmap` was given.
    ///
    /// # Safety
    ///
    /// `vma` is the argument of the running `->mmap`.
    pub(crate) unsafe fn new(vma: *mut bindings::vm_area_struct) -> Self {
        Self(vma, PhantomData)
    }

    pub(crate) const fn as_ptr(&self) -> *mut bindings::vm_area_struct {
        self.0
    }

    /// Bytes.
    pub fn len(&self) -> usize {
        // SAFETY: live by the contract of `new`.
        unsafe { bindings::vma_len(self.0) as usize }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Offset in the file, in pages.
    pub fn page_offset(&self) -> usize {
        // SAFETY: live by the contract of `new`.
        unsafe { bindings::vma_pgoff(self.0) as usize }
    }

    /// Whether what is written goes to the device's memory (`MAP_SHARED`).
    pub fn is_shared(&self) -> bool {
        // SAFETY: live by the contract of `new`.
        unsafe { bindings::vma_shared(self.0) }
    }

    /// The device node's mappings, this one among them.
    pub fn node(&self) -> Node {
        // SAFETY: live by the contract of `new`; a mapping that has a file.
        Node(unsafe { bindings::vma_mapping(self.0) })
    }

    /// Makes the mapping an owner of `value` until the last part of it is unmapped.
    pub fn hold<T: Send + Sync + 'static>(&self, value: KArc<T>) {
        let data = KArc::into_raw(value).cast_mut().cast::<c_void>();
        // SAFETY: the table is static; `Ops::<T>` treats `data` as the one owner that was given.
        unsafe { bindings::vma_attach(self.0, &raw const Ops::<T>::TABLE.0, data) };
    }
}

/// A process's address space, kept as a structure; its mappings may go.
#[derive(Debug)]
pub struct Mm(*mut bindings::mm_struct);

// SAFETY: counted; `pass` may be called from any thread.
unsafe impl Send for Mm {}

impl Mm {
    /// The calling process's; a kernel thread has none.
    pub fn current(_inband: &Inband<'_>) -> Option<Self> {
        // SAFETY: task context, by the token.
        let mm = unsafe { bindings::mmgrab_current() };
        (!mm.is_null()).then(|| Self(mm))
    }

    /// Waits until every change of the mappings that is under way is done. Sleeps; not from within such a change.
    pub fn pass(&self, _inband: &Inband<'_>) {
        // SAFETY: kept by the count.
        unsafe { bindings::mmap_pass(self.0) };
    }
}

impl Drop for Mm {
    fn drop(&mut self) {
        // SAFETY: counted by `current`.
        unsafe { bindings::mmdrop(self.0) };
    }
}

/// All mappings of one device node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node(*mut bindings::address_space);

// SAFETY: only `unmap` uses the pointer, and may do so from any thread.
unsafe impl Send for Node {}

impl Node {
    /// Takes the pages out of every process that maps this node; a process that touches them later gets `SIGBUS`. Sleeps.
    ///
    /// # Safety
    ///
    /// Somebody still maps the node, or holds it open.
    pub unsafe fn unmap(&self, _inband: &Inband<'_>) {
        // SAFETY: alive by contract.
        unsafe { bindings::unmap_mapping(self.0) };
    }
}

#[repr(transparent)]
struct Table(bindings::vm_operations_struct);
// SAFETY: a table of functions that nobody writes to.
unsafe impl Sync for Table {}

struct Ops<T>(PhantomData<T>);

impl<T: Send + Sync + 'static> Ops<T> {
    const TABLE: &'static Table = &Table(bindings::vm_operations_struct {
        open: Some(Self::open),
        close: Some(Self::close),
        // SAFETY: all other members are optional pointers, for which zero is "none".
        ..unsafe { core::mem::zeroed() }
    });

    /// A part was split off: one more owner.
    unsafe extern "C" fn open(vma: *mut bindings::vm_area_struct) {
        // SAFETY: a live mapping.
        let data = unsafe { bindings::vma_private(vma) };
        // SAFETY: put there by `hold`, and the mapping still owns it.
        let owner = unsafe { KArc::<T>::from_raw(data.cast_const().cast()) };
        core::mem::forget(owner.clone());
        core::mem::forget(owner);
    }

    unsafe extern "C" fn close(vma: *mut bindings::vm_area_struct) {
        // SAFETY: a live mapping.
        let data = unsafe { bindings::vma_private(vma) };
        // SAFETY: put there by `hold` or counted by `open`; this part of the mapping ends here.
        drop(unsafe { KArc::<T>::from_raw(data.cast_const().cast()) });
    }
}
