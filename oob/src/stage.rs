// SPDX-License-Identifier: GPL-2.0-only

//! The stage as a type.
//!
//! A token is a promise that the code which holds it runs on that stage. Tokens are `!Send`, borrowed for a lifetime
//! that the core chooses, and made only by a core, at the places where they are true: the entry of an in-band system
//! call, the entry of an exchange call of an attached thread, a thread's body.
//!
//! Types do not keep a thread from using its token inside a closure under a hard lock ([`crate::monitor::Monitor::update`]),
//! where it may not sleep on either stage.

use crate::record::{Record, Wait, Waiting};
use core::marker::PhantomData;
pub use kernel::inband::Inband;

/// Proof of running on the out-of-band stage, in a thread that may wait there.
#[derive(Debug)]
pub struct Oob<'a> {
    record: Option<&'a Record>,
    here: PhantomData<*mut ()>,
}

/// A token of a thread that may wait, on whichever stage.
pub trait MayWait {
    /// Whether that stage is the out-of-band one.
    const IS_OOB: bool;

    /// Writes down that the thread waits, where somebody keeps a record of it.
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
    /// For the token's whole lifetime the caller is a thread of the out-of-band stage that may wait there: on the EVL
    /// core an EVL thread; on the shim a task that attached itself; on the host the simulated thread.
    pub const unsafe fn assume() -> Self {
        Self {
            record: None,
            here: PhantomData,
        }
    }

    /// The same of a thread that has a record.
    ///
    /// # Safety
    ///
    /// As for [`Self::assume`]; and the record is the calling thread's.
    #[inline(always)]
    pub const unsafe fn recorded(record: &'a Record) -> Self {
        Self {
            record: Some(record),
            here: PhantomData,
        }
    }
}
