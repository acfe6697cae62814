// SPDX-License-Identifier: GPL-2.0-only

//! The stage as a type.
//!
//! A token is a promise that the code which holds it runs on that stage. Tokens are `!Send`, borrowed for a lifetime
//! that the core chooses, and made only by a core, at the places where they are true: the entry of an in-band system
//! call, the entry of an exchange call of an attached thread, an out-of-band interrupt.

use core::marker::PhantomData;

/// Proof of running on the out-of-band stage, in a thread that may wait there.
#[derive(Debug)]
pub struct Oob<'a>(PhantomData<(&'a (), *mut ())>);

/// Proof of running in-band, where sleeping is allowed.
#[derive(Debug)]
pub struct Inband<'a>(PhantomData<(&'a (), *mut ())>);

/// A token of a thread that may wait, on whichever stage.
pub trait MayWait {}

impl MayWait for Oob<'_> {}
impl MayWait for Inband<'_> {}

impl Oob<'_> {
    /// States that the caller runs out-of-band.
    ///
    /// # Safety
    ///
    /// For the token's whole lifetime the caller is a thread of the out-of-band stage that may wait there: on the EVL
    /// core an EVL thread; on the shim a task that attached itself; on the host the simulated thread.
    pub const unsafe fn assume() -> Self {
        Self(PhantomData)
    }
}

impl Inband<'_> {
    /// States that the caller runs in-band and may sleep.
    ///
    /// # Safety
    ///
    /// For the token's whole lifetime the caller is in-band, in task context, with interrupts and preemption enabled.
    pub const unsafe fn assume() -> Self {
        Self(PhantomData)
    }
}
