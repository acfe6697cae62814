// SPDX-License-Identifier: GPL-2.0-only

//! Files in debugfs: numbers that can be read and written, and texts that can be read.

use crate::alloc::KBox;
use crate::error::Result;
use crate::inband::Inband;
use bindings as b;
use core::ffi::{CStr, c_void};
use core::fmt;
use core::marker::PhantomData;
use core::mem;

/// The numbers that a folder shows.
pub trait Numbers: Sync {
    /// The name of each file, and whether it can be written.
    const FILES: &'static [(&'static CStr, bool)];

    /// The value of file `index`.
    fn get(&self, index: usize) -> u64;

    /// A user wrote `value` to file `index`.
    fn set(&self, index: usize, value: u64);
}

/// The largest number of files in a folder.
const FILES_MAX: usize = 32;

/// A folder directly below the root of debugfs. Dropping it removes the folder and its files.
/// Without debugfs it does nothing.
pub struct Dir<N> {
    dir: *mut b::dentry,
    _attributes: KBox<[b::oobkit_attribute; FILES_MAX]>,
    numbers: PhantomData<*const N>,
}

// SAFETY: the folder's only use is its removal, which debugfs allows on any thread; the numbers are
// Sync.
unsafe impl<N: Numbers> Send for Dir<N> {}
// SAFETY: a shared folder has no methods; the numbers, which debugfs calls from any thread, are
// Sync.
unsafe impl<N: Numbers> Sync for Dir<N> {}

impl<N: Numbers> Dir<N> {
    /// Creates the folder and its files. Sleeps.
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
        // SAFETY: debugfs copies the name; a null parent means the root.
        let dir = unsafe { b::debugfs_create_dir(name.as_ptr(), core::ptr::null_mut()) };
        for ((name, writable), attribute) in N::FILES.iter().zip(attributes.iter_mut()) {
            // SAFETY: the attributes lie in a box that this value drops after the folder; `numbers`
            // outlives both by contract.
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
    // SAFETY: `context` is the `numbers` of `new`, which outlive the folder and so this call.
    unsafe { &*context.cast::<N>() }.get(index as usize)
}

unsafe extern "C" fn set<N: Numbers>(context: *const c_void, index: u32, value: u64) {
    // SAFETY: `context` is the `numbers` of `new`, which outlive the folder and so this call.
    unsafe { &*context.cast::<N>() }.set(index as usize, value);
}

impl<N> Drop for Dir<N> {
    fn drop(&mut self) {
        // SAFETY: `new` created the folder; debugfs accepts a pointer that encodes an error. The
        // call waits for accesses under way.
        unsafe { b::debugfs_remove(self.dir) };
    }
}

/// The output of a text file.
#[derive(Debug)]
pub struct Seq<'a>(*mut b::seq_file, PhantomData<&'a ()>);

impl fmt::Write for Seq<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // SAFETY: the pointer is to the file of the read under way. If its buffer is full, the
        // kernel enlarges it and calls `show` again.
        unsafe { b::seq_write(self.0, text.as_ptr().cast(), text.len()) };
        Ok(())
    }
}

/// A text that a file shows.
pub trait Show: Send + Sync + 'static {
    /// Writes the whole text to `out`.
    ///
    /// # Errors
    ///
    /// The errors of `out`; the text then ends there.
    fn show(&self, inband: &Inband<'_>, out: &mut Seq<'_>) -> fmt::Result;
}

#[repr(C)]
struct Shown<S> {
    text: b::oobkit_text,
    what: S,
}

/// A folder directly below the root of debugfs, with one text file. Dropping it removes both.
pub struct Text<S> {
    dir: *mut b::dentry,
    _shown: KBox<Shown<S>>,
}

// SAFETY: the folder's only use is its removal, which debugfs allows on any thread; the text is
// Send and Sync.
unsafe impl<S: Show> Send for Text<S> {}
// SAFETY: a shared folder has no methods; the text, which debugfs shows on any thread, is Sync.
unsafe impl<S: Show> Sync for Text<S> {}

impl<S: Show> Text<S> {
    /// Creates the folder and the file. Sleeps.
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
        // SAFETY: debugfs copies the name; a null parent means the root.
        let dir = unsafe { b::debugfs_create_dir(folder.as_ptr(), core::ptr::null_mut()) };
        // SAFETY: debugfs copies the name; the text lies in a box that this value drops after the
        // folder.
        unsafe { b::debugfs_create_text(file.as_ptr(), dir, text) };
        Ok(Self { dir, _shown: shown })
    }

    unsafe extern "C" fn show(text: *const b::oobkit_text, out: *mut b::seq_file) {
        const { assert!(mem::offset_of!(Shown<S>, text) == 0) };
        // SAFETY: `text` is the first field of the `Shown<S>` that `new` boxed, which outlives the
        // folder and so this call.
        let shown = unsafe { &*text.cast::<Shown<S>>() };
        // SAFETY: debugfs calls this in a read of the file: in-band task context.
        let inband = unsafe { Inband::assume() };
        // After an error the rest of the text is missing, as `Show::show` documents.
        let _ = shown.what.show(&inband, &mut Seq(out, PhantomData));
    }
}

impl<S> Drop for Text<S> {
    fn drop(&mut self) {
        // SAFETY: `new` created the folder; debugfs accepts a pointer that encodes an error. The
        // call waits for accesses under way.
        unsafe { b::debugfs_remove(self.dir) };
    }
}
