// SPDX-License-Identifier: GPL-2.0-only

//! The token of the in-band stage.
//!
//! Services that allocate, may sleep, or belong to the in-band stage take the token; callbacks that run in-band get it. Drivers
//! use it as `oob::stage::Inband`, beside the out-of-band token. It is the only module of this crate that also compiles for a
//! process, because crate `oob` needs it there, too.

use core::marker::PhantomData;

/// Proof that the caller runs in-band, where it may sleep.
///
/// The type does not keep a caller from using the token in a closure under a hard lock, where nothing may sleep.
#[derive(Debug)]
pub struct Inband<'a>(PhantomData<(&'a (), *mut ())>);

impl Inband<'_> {
    /// States that the caller runs in-band and may sleep.
    ///
    /// # Safety
    ///
    /// For the token's whole lifetime the caller is in-band, in task context, with interrupts and preemption enabled. It may take
    /// a hard lock meanwhile if it does not use the token before it has released that lock.
    pub const unsafe fn assume() -> Self {
        Self(PhantomData)
    }
}
