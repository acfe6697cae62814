// SPDX-License-Identifier: GPL-2.0-only

//! Which stage a thread belongs to, as a type and as a value.
//!
//! ```text
//!   token     may sleep      side of the gate
//!   Oob       out-of-band    Oob
//!   Inband    in-band        Inband
//!   Atomic    nowhere        Inband
//! ```
//!
//! Rule: a token is true for as long as a guard taken with it lives; the guard borrows it.

use core::marker::PhantomData;
use oob::stage::{Inband, Oob};

/// A side of the gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// The out-of-band stage.
    Oob,
    /// The in-band stage, whether its thread may sleep or not.
    Inband,
}

impl Side {
    /// The side that this one keeps out.
    pub const fn other(self) -> Self {
        match self {
            Self::Oob => Self::Inband,
            Self::Inband => Self::Oob,
        }
    }
}

/// Proof of running in-band where sleeping is *not* allowed: preemption or bottom halves are off,
/// or a spinlock is held.
///
/// Waiting with it is spinning, where the lock's backend has that; see [`crate::spin`].
#[derive(Debug)]
pub struct Atomic<'a>(PhantomData<(&'a (), *mut ())>);

impl Atomic<'_> {
    /// States that the caller runs in-band and may spin, but not sleep.
    ///
    /// # Safety
    ///
    /// For the token's whole lifetime the caller is in-band and not in a hard interrupt. Where its
    /// spinning could keep a thread of the other stage that may be inside from running on this
    /// processor, it waits with deadlines only.
    pub const unsafe fn assume() -> Self {
        Self(PhantomData)
    }
}

mod sealed {
    pub trait Sealed {}
}

impl sealed::Sealed for Oob<'_> {}
impl sealed::Sealed for Inband<'_> {}
impl sealed::Sealed for Atomic<'_> {}

/// A stage's token: [`Oob`], [`Inband`] or [`Atomic`].
pub trait Stage: sealed::Sealed {
    /// The side of the gate on which its threads enter.
    const SIDE: Side;
}

impl Stage for Oob<'_> {
    const SIDE: Side = Side::Oob;
}

impl Stage for Inband<'_> {
    const SIDE: Side = Side::Inband;
}

impl Stage for Atomic<'_> {
    const SIDE: Side = Side::Inband;
}
