// SPDX-License-Identifier: GPL-2.0-only

//! Mappings of a device's memory into processes.

use crate::alloc::KArc;
use crate::inband::Inband;
use core::ffi::c_void;
use core::marker::PhantomData;

/// A mapping that its file's `mmap` sets up. It exists only inside that call, in-band.
#[derive(Debug)]
pub struct Vma<'a>(*mut bindings::vm_area_struct, PhantomData<&'a ()>);

impl Vma<'_> {
    /// Wraps the argument of `->mmap`.
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

    /// The size in bytes.
    pub fn len(&self) -> usize {
        // SAFETY: the mapping is the argument of the running `->mmap`, by the contract of `new`.
        unsafe { bindings::vma_len(self.0) as usize }
    }

    /// Whether the size is 0.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The offset in the file, in pages.
    pub fn page_offset(&self) -> usize {
        // SAFETY: the mapping is the argument of the running `->mmap`, by the contract of `new`.
        unsafe { bindings::vma_pgoff(self.0) as usize }
    }

    /// Whether writes reach the device's memory (`MAP_SHARED`).
    pub fn is_shared(&self) -> bool {
        // SAFETY: the mapping is the argument of the running `->mmap`, by the contract of `new`.
        unsafe { bindings::vma_shared(self.0) }
    }

    /// All mappings of the device node, including this one.
    pub fn node(&self) -> Node {
        // SAFETY: the mapping is the argument of the running `->mmap`, by the contract of `new`, so
        // it has a file.
        Node(unsafe { bindings::vma_mapping(self.0) })
    }

    /// Makes the mapping an owner of `value` until the last part of it is unmapped.
    pub fn hold<T: Send + Sync + 'static>(&self, value: KArc<T>) {
        let data = KArc::into_raw(value).cast_mut().cast::<c_void>();
        // SAFETY: the table is static, and its functions treat `data` as one owner of a `T`, which
        // `into_raw` has made it.
        unsafe { bindings::vma_attach(self.0, &raw const Ops::<T>::TABLE.0, data) };
    }
}

/// A reference to the structure of a process's address space. The mappings in it may go away
/// meanwhile.
#[derive(Debug)]
pub struct Mm(*mut bindings::mm_struct);

// SAFETY: the reference is counted and belongs to no thread; `pass` may be called on any thread.
unsafe impl Send for Mm {}

impl Mm {
    /// The calling process's address space; `None` in a kernel thread.
    pub fn current(_inband: &Inband<'_>) -> Option<Self> {
        // SAFETY: the token proves task context; the function takes a reference of its own.
        let mm = unsafe { bindings::mmgrab_current() };
        (!mm.is_null()).then(|| Self(mm))
    }

    /// Waits until all changes of the mappings under way have ended. Sleeps. Must not be called
    /// from within such a change.
    pub fn pass(&self, _inband: &Inband<'_>) {
        // SAFETY: the reference keeps the structure alive; the token proves that the caller may
        // sleep.
        unsafe { bindings::mmap_pass(self.0) };
    }
}

impl Drop for Mm {
    fn drop(&mut self) {
        // SAFETY: gives back the reference that `current` took.
        unsafe { bindings::mmdrop(self.0) };
    }
}

/// All mappings of one device node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node(*mut bindings::address_space);

// SAFETY: only `unmap` uses the pointer, which any thread may do.
unsafe impl Send for Node {}

impl Node {
    /// Removes the pages from every process that maps this node. A process that touches them later
    /// gets `SIGBUS`. Sleeps.
    ///
    /// # Safety
    ///
    /// A process still maps the node or holds it open.
    pub unsafe fn unmap(&self, _inband: &Inband<'_>) {
        // SAFETY: a mapping or an open file keeps the node alive, by contract; the token proves
        // that the caller may sleep.
        unsafe { bindings::unmap_mapping(self.0) };
    }
}

#[repr(transparent)]
struct Table(bindings::vm_operations_struct);
// SAFETY: the table holds function pointers and is never written.
unsafe impl Sync for Table {}

struct Ops<T>(PhantomData<T>);

impl<T: Send + Sync + 'static> Ops<T> {
    const TABLE: &'static Table = &Table(bindings::vm_operations_struct {
        open: Some(Self::open),
        close: Some(Self::close),
        // SAFETY: all other members are optional pointers; zero means that they are absent.
        ..unsafe { core::mem::zeroed() }
    });

    /// The kernel split or copied the mapping: the value gets one more owner.
    unsafe extern "C" fn open(vma: *mut bindings::vm_area_struct) {
        // SAFETY: the kernel calls this with a live mapping.
        let data = unsafe { bindings::vma_private(vma) };
        // SAFETY: `hold` stored the pointer of one owner there, and the mapping that was split
        // still stands for that owner: it is forgotten below.
        let owner = unsafe { KArc::<T>::from_raw(data.cast_const().cast()) };
        core::mem::forget(owner.clone());
        core::mem::forget(owner);
    }

    unsafe extern "C" fn close(vma: *mut bindings::vm_area_struct) {
        // SAFETY: the kernel calls this with a mapping that is about to end.
        let data = unsafe { bindings::vma_private(vma) };
        // SAFETY: each part of the mapping stands for one owner, which `hold` stored or `open`
        // added. This part ends here, and its owner with it.
        drop(unsafe { KArc::<T>::from_raw(data.cast_const().cast()) });
    }
}
