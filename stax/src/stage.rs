// SPDX-License-Identifier: GPL-2.0-only

//! The stage of a thread, as a type and as a value.
//!
//! ```text
//!   token     may sleep      side of the gate
//!   Oob       out-of-band    Oob
//!   Inband    in-band        Inband
//!   Atomic    nowhere        Inband
//! ```
//!
//! Rule: a guard borrows its token, so the token stays true while the guard lives.

use core::marker::PhantomData;
use oob::stage::{Inband, Oob};

/// A side of the gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// The out-of-band stage.
    Oob,
    /// The in-band stage; its threads may or may not sleep.
    Inband,
}

impl Side {
    /// The side that this side excludes.
    pub const fn other(self) -> Self {
        match self {
            Self::Oob => Self::Inband,
            Self::Inband => Self::Oob,
        }
    }
}

/// Proof that the caller runs in-band where it must *not* sleep: with preemption or bottom halves
/// off, or with a spinlock held.
///
/// A caller with this token waits by spinning, if the lock's backend supports it; see
/// [`crate::spin`].
#[derive(Debug)]
pub struct Atomic<'a>(PhantomData<(&'a (), *mut ())>);

impl Atomic<'_> {
    /// States that the caller runs in-band and may spin, but not sleep.
    ///
    /// # Safety
    ///
    /// For the token's whole lifetime the caller is in-band and not in a hard interrupt. If its
    /// spinning could keep a thread of the other stage, which may be inside, from running on this
    /// processor, the caller waits with deadlines only.
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
