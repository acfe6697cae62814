// SPDX-License-Identifier: GPL-2.0-only

//! The stage as a type.
//!
//! A token proves that the code that holds it runs on that stage. Tokens are `!Send` and borrowed
//! for a lifetime that the core chooses. Only a core creates them, where they are true: at the
//! entry of an in-band system call, at the entry of an exchange call of an attached thread, and in
//! a thread's body.
//!
//! The types do not keep a thread from using its token in a closure under a hard lock
//! ([`crate::monitor::Monitor::update`]), where it must not sleep on either stage.

use crate::record::{Record, Wait, Waiting};
use core::marker::PhantomData;
pub use kernel::inband::Inband;

/// Proof that the caller is a thread of the out-of-band stage that may wait there.
#[derive(Debug)]
pub struct Oob<'a> {
    record: Option<&'a Record>,
    here: PhantomData<*mut ()>,
}

/// The token of a thread that may wait, on either stage.
pub trait MayWait {
    /// Whether the stage is the out-of-band one.
    const IS_OOB: bool;

    /// Notes the wait in the thread's record, if it has one.
    fn waits_for(&self, what: Wait) -> Option<Waiting<'_>>;
}

impl MayWait for Oob<'_> {
    const IS_OOB: bool = true;

    #[inline]
    fn waits_for(&self, what: Wait) -> Option<Waiting<'_>> {
        self.record.map(|record| record.waits_for(what))
    }
}

impl MayWait for Inband<'_> {
    const IS_OOB: bool = false;

    fn waits_for(&self, _what: Wait) -> Option<Waiting<'_>> {
        None
    }
}

impl<'a> Oob<'a> {
    /// States that the caller runs out-of-band.
    ///
    /// # Safety
    ///
    /// For the token's whole lifetime the caller is a thread of the out-of-band stage that may wait
    /// there: on the evl core an EVL thread, on the shim a task that attached itself, on the host
    /// core a simulated thread.
    pub const unsafe fn assume() -> Self {
        Self {
            record: None,
            here: PhantomData,
        }
    }

    /// As [`Self::assume`], for a thread that has a record.
    ///
    /// # Safety
    ///
    /// As for [`Self::assume`]. In addition, the record is the calling thread's own.
    #[inline(always)]
    pub const unsafe fn recorded(record: &'a Record) -> Self {
        Self {
            record: Some(record),
            here: PhantomData,
        }
    }
}
