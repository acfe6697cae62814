// SPDX-License-Identifier: GPL-2.0-only

//! Numbers to read and write in debugfs, and texts to read.

use crate::alloc::KBox;
use crate::error::Result;
use crate::inband::Inband;
use bindings as b;
use core::ffi::{CStr, c_void};
use core::fmt;
use core::marker::PhantomData;
use core::mem;

/// What a folder shows.
pub trait Numbers: Sync {
    /// Names of the files, and whether each can be written.
    const FILES: &'static [(&'static CStr, bool)];

    /// What file `index` reads.
    fn get(&self, index: usize) -> u64;

    /// What was written to file `index`.
    fn set(&self, index: usize, value: u64);
}

/// Most files of a folder.
const FILES_MAX: usize = 32;

/// A folder directly below debugfs' root; gone with its files when dropped. Where debugfs is off, it does nothing.
pub struct Dir<N> {
    dir: *mut b::dentry,
    _attributes: KBox<[b::oobkit_attribute; FILES_MAX]>,
    numbers: PhantomData<*const N>,
}

// SAFETY: debugfs synchronises itself.
unsafe impl<N: Numbers> Send for Dir<N> {}
// SAFETY: as above.
unsafe impl<N: Numbers> Sync for Dir<N> {}

impl<N: Numbers> Dir<N> {
    /// Makes the folder and its files. Sleeps.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    ///
    /// # Safety
    ///
    /// `numbers` outlives the result.
    pub unsafe fn new(inband: &Inband<'_>, name: &CStr, numbers: *const N) -> Result<Self> {
        const { assert!(N::FILES.len() <= FILES_MAX) };
        let first = b::oobkit_attribute {
            get: Some(get::<N>),
            set: Some(set::<N>),
            context: numbers.cast(),
            index: 0,
        };
        let mut attributes = KBox::new(inband, [first; FILES_MAX])?;
        for (index, attribute) in (0..).zip(attributes.iter_mut()) {
            attribute.index = index;
        }
        // SAFETY: the name is copied; a null parent is the root.
        let dir = unsafe { b::debugfs_create_dir(name.as_ptr(), core::ptr::null_mut()) };
        for ((name, writable), attribute) in N::FILES.iter().zip(attributes.iter_mut()) {
            // SAFETY: the attributes lie in a box that outlives the folder.
            unsafe { b::debugfs_create_attribute(name.as_ptr(), *writable, dir, attribute) };
        }
        Ok(Self {
            dir,
            _attributes: attributes,
            numbers: PhantomData,
        })
    }
}

unsafe extern "C" fn get<N: Numbers>(context: *const c_void, index: u32) -> u64 {
    // SAFETY: what `new` was given, which outlives the folder.
    unsafe { &*context.cast::<N>() }.get(index as usize)
}

unsafe extern "C" fn set<N: Numbers>(context: *const c_void, index: u32, value: u64) {
    // SAFETY: as above.
    unsafe { &*context.cast::<N>() }.set(index as usize, value);
}

impl<N> Drop for Dir<N> {
    fn drop(&mut self) {
        // SAFETY: made in `new`; errors encoded in the pointer are accepted. Waits for accesses under way.
        unsafe { b::debugfs_remove(self.dir) };
    }
}

/// Where a text goes.
#[derive(Debug)]
pub struct Seq<'a>(*mut b::seq_file, PhantomData<&'a ()>);

impl fmt::Write for Seq<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // SAFETY: the file of the read under way; where its room ends, the kernel makes more and has all shown again.
        unsafe { b::seq_write(self.0, text.as_ptr().cast(), text.len()) };
        Ok(())
    }
}

/// What a file of text shows.
pub trait Show: Send + Sync + 'static {
    /// Writes all of it.
    ///
    /// # Errors
    ///
    /// Those of `out`; the text then ends there.
    fn show(&self, inband: &Inband<'_>, out: &mut Seq<'_>) -> fmt::Result;
}

#[repr(C)]
struct Shown<S> {
    text: b::oobkit_text,
    what: S,
}

/// A folder directly below debugfs' root with one file of text; gone when dropped.
pub struct Text<S> {
    dir: *mut b::dentry,
    _shown: KBox<Shown<S>>,
}

// SAFETY: debugfs synchronises itself, and what is shown may be used by any thread.
unsafe impl<S: Show> Send for Text<S> {}
// SAFETY: as above.
unsafe impl<S: Show> Sync for Text<S> {}

impl<S: Show> Text<S> {
    /// Makes the folder and the file. Sleeps.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn new(inband: &Inband<'_>, folder: &CStr, file: &CStr, what: S) -> Result<Self> {
        let text = b::oobkit_text {
            show: Some(Self::show),
        };
        let shown = KBox::new(inband, Shown { text, what })?;
        let text = (&raw const *shown).cast_mut().cast::<b::oobkit_text>();
        // SAFETY: the name is copied; a null parent is the root.
        let dir = unsafe { b::debugfs_create_dir(folder.as_ptr(), core::ptr::null_mut()) };
        // SAFETY: the name is copied; what is shown lies in a box that outlives the folder.
        unsafe { b::debugfs_create_text(file.as_ptr(), dir, text) };
        Ok(Self { dir, _shown: shown })
    }

    unsafe extern "C" fn show(text: *const b::oobkit_text, out: *mut b::seq_file) {
        const { assert!(mem::offset_of!(Shown<S>, text) == 0) };
        // SAFETY: the text is the first field of what `new` made, which outlives the folder.
        let shown = unsafe { &*text.cast::<Shown<S>>() };
        // SAFETY: debugfs calls this in a read of the file.
        let inband = unsafe { Inband::assume() };
        // What could not be written is missing, as it says.
        let _ = shown.what.show(&inband, &mut Seq(out, PhantomData));
    }
}

impl<S> Drop for Text<S> {
    fn drop(&mut self) {
        // SAFETY: made in `new`; errors encoded in the pointer are accepted. Waits for accesses under way.
        unsafe { b::debugfs_remove(self.dir) };
    }
}
