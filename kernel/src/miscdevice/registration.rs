// SPDX-License-Identifier: GPL-2.0-only

//! Creating and removing a device's node.

use super::file::File;
use super::table::{Inner, NAME, Ops};
use crate::alloc::KBox;
use crate::error::{Result, code, to_result};
use crate::inband::Inband;
use bindings as b;
use core::ffi::CStr;
use core::mem;

/// A registered device node.
///
/// # Invariants
///
/// The node is registered, and its box stays in place, until `drop` deregisters it.
pub struct Registration<F: File>(KBox<Inner<F>>);

// SAFETY: any in-band thread may deregister the node, and the kernel serialises that against opens;
// the device is Send and Sync.
unsafe impl<F: File> Send for Registration<F> {}
// SAFETY: a shared reference gives only the device, which is Sync.
unsafe impl<F: File> Sync for Registration<F> {}

impl<F: File> Registration<F> {
    /// Creates the node `/dev/<path>`, called `name` elsewhere in the kernel. Both texts have at
    /// most 31 bytes. Sleeps.
    ///
    /// # Errors
    ///
    /// `EINVAL` if a text is too long, `ENOMEM`, and the errors of `misc_register`.
    pub fn new(inband: &Inband<'_>, name: &[u8], path: &[u8], device: F::Device) -> Result<Self> {
        // SAFETY: all members of a miscdevice are numbers, optional pointers and list links, for
        // which zero is valid.
        let misc: b::miscdevice = unsafe { mem::zeroed() };
        let inner = Inner {
            misc,
            device,
            names: [c_name(name)?, c_name(path)?],
        };
        let mut inner = KBox::new(inband, inner)?;
        let [name, path] = &inner.names;
        let (name, path) = (name.as_ptr().cast(), path.as_ptr().cast());
        inner.misc.minor = b::MISC_DYNAMIC_MINOR.cast_signed();
        inner.misc.name = name;
        inner.misc.nodename = path;
        inner.misc.mode = 0o600;
        inner.misc.fops = Ops::<F>::TABLE.as_ptr();
        // SAFETY: the box keeps the structure, its names and the device in place until `drop`.
        to_result(unsafe { b::misc_register(&raw mut inner.misc) })?;
        Ok(Self(inner))
    }

    /// The state that `open` gets.
    pub fn device(&self) -> &F::Device {
        &self.0.device
    }
}

impl<F: File> Drop for Registration<F> {
    fn drop(&mut self) {
        // SAFETY: `new` registered the node, and its box is still in place. The call waits for an
        // open under way.
        unsafe { b::misc_deregister(&raw mut self.0.misc) };
    }
}

fn c_name(text: &[u8]) -> Result<[u8; NAME]> {
    let mut name = [0; NAME];
    let room = name.get_mut(..text.len()).ok_or(code::EINVAL)?;
    room.copy_from_slice(text);
    CStr::from_bytes_until_nul(&name)
        .map(|_| ())
        .map_err(|_| code::EINVAL)?;
    Ok(name)
}
