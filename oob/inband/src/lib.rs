// SPDX-License-Identifier: GPL-2.0-only

//! The token of the in-band stage, in a crate of its own because both sides of the stage name it.
//!
//! ```text
//!   kernel   what allocates, may sleep or is a service of in-band's own takes it, but for what docs/stage.md, section 2,
//!            lists; its callbacks hand it out
//!   evl      drivers know it as oob::stage::Inband, beside the out-of-band one
//! ```
#![no_std]

use core::marker::PhantomData;

/// Proof of running in-band, where sleeping is allowed; but not inside a closure under a hard lock, which types do not keep a
/// token out of.
#[derive(Debug)]
pub struct Inband<'a>(PhantomData<(&'a (), *mut ())>);

impl Inband<'_> {
    /// States that the caller runs in-band and may sleep.
    ///
    /// # Safety
    ///
    /// For the token's whole lifetime the caller is in-band, in task context, with interrupts and preemption enabled; except
    /// where it itself takes a hard lock, and uses no token until it has given that back.
    pub const unsafe fn assume() -> Self {
        Self(PhantomData)
    }
}
