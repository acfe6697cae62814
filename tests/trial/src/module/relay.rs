// SPDX-License-Identifier: GPL-2.0-only

//! The relay of an open file; see [`crate::relay`].

use crate::relay::{MESSAGE, Open, Write};
use core::sync::atomic::{AtomicPtr, Ordering};
use kernel::alloc::KBox;
use kernel::error::{Result, code};
use kernel::file::OpenFile;
use oob::kernel_core::Relay;
use oob::stage::{Inband, Oob};

/// A relay that is created at most once.
///
/// # Invariants
///
/// The pointer is null or from a box, which lives until `drop`.
pub(super) struct Slot(AtomicPtr<Relay>);

impl Slot {
    pub(super) const fn new() -> Self {
        Self(AtomicPtr::new(core::ptr::null_mut()))
    }

    fn get(&self) -> Result<&Relay> {
        // SAFETY: by the invariants the pointer is null or to a boxed relay that lives until
        // `drop`.
        unsafe { self.0.load(Ordering::Acquire).as_ref() }.ok_or(code::ENODEV)
    }

    pub(super) fn open(&self, inband: &Inband<'_>, args: &Open) -> Result<i32> {
        let file = OpenFile::to_write(inband, args.fd)?;
        let relay = Relay::new(inband, file, args.count, MESSAGE)?;
        let relay = KBox::into_raw(KBox::new(inband, relay)?);
        let null = core::ptr::null_mut();
        let exchanged = self
            .0
            .compare_exchange(null, relay, Ordering::AcqRel, Ordering::Relaxed);
        if exchanged.is_err() {
            // SAFETY: the pointer came from a box just above and was stored nowhere.
            drop(unsafe { KBox::from_raw(relay) });
            return Err(code::EBUSY);
        }
        Ok(0)
    }

    pub(super) fn write(&self, oob: &Oob<'_>, args: &mut Write) -> Result<i32> {
        let relay = self.get()?;
        for n in 0..args.count {
            let number = args.first.wrapping_add(n).to_le_bytes();
            let mut message = [0; MESSAGE];
            let (first, second) = message.split_at_mut(number.len());
            first.copy_from_slice(&number);
            second.copy_from_slice(&args.tag.to_le_bytes());
            if relay.write(oob, &message).is_ok() {
                args.taken = args.taken.wrapping_add(1);
            }
        }
        Ok(0)
    }

    pub(super) fn flush(&self, inband: &Inband<'_>) -> Result<i32> {
        let flushed = self.get()?.flush(inband);
        flushed.map(|()| 0).map_err(|_| code::EINTR)
    }

    pub(super) fn lost(&self) -> Result<u64> {
        Ok(self.get()?.lost())
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let relay = *self.0.get_mut();
        if !relay.is_null() {
            // SAFETY: by the invariants the pointer came from a box; `drop` borrows this value
            // uniquely, so no reference to it is left.
            drop(unsafe { KBox::from_raw(relay) });
        }
    }
}
