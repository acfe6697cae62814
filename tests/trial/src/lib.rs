// SPDX-License-Identifier: GPL-2.0-only

//! `oob_trial.ko`: puts the stage's services to the test from inside a kernel, for `guest-tests`.
//!
//! ```text
//!   open /dev/oob/trial --> a stage lock of its own
//!     STAX_HAMMER   the calling thread, of whichever stage, enters and leaves at random until a date
//!     STAX_DESTROY  ends the lock
//!     STAX_TOTAL    what was counted inside
//!     STAX_LOSE     wakes nobody where it should, so many times: so that a test sees that it would see that
//!     write         plants a defect, for the debug kernel to see: module/plants.rs
//!   open /dev/oob/trial-files --> files.rs
//!     services.rs   one scene for each promise of the stage's other services
//! ```
//!
//! No part of the kit needs it; it is for tests alone.
#![cfg_attr(target_os = "none", no_std)]

pub mod bench;
pub mod files;
#[cfg(feature = "module")]
mod module;
pub mod relay;
pub mod services;

use oobkit_abi::ioc;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Path of the device.
pub const PATH: &str = "/dev/oob/trial";

/// Enters and leaves until [`Hammer::until_ns`], a signal, or the lock's end.
pub const STAX_HAMMER: u32 = ioc::iowr::<Hammer>(b'T', 1);
/// Destroys the lock.
pub const STAX_DESTROY: u32 = ioc::io(b'T', 2);
/// Tells what was counted.
pub const STAX_TOTAL: u32 = ioc::ior::<Total>(b'T', 3);

/// Has as many of the lock's next wake-ups not happen, whoever they are for.
pub const STAX_LOSE: u32 = ioc::iow::<u64>(b'T', 4);

/// As [`STAX_HAMMER`], in-band, where it cannot sleep: with a spinlock held it spins for some 100
/// us at most. What is counted as busy is entered later, by spinning.
pub const STAX_SPIN: u32 = ioc::iowr::<Hammer>(b'T', 5);

/// Argument of [`STAX_HAMMER`]: what to do, and what was done.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Hammer {
    /// In: where the random numbers begin.
    pub seed: u64,
    /// In: date on `CLOCK_MONOTONIC`.
    pub until_ns: u64,
    /// In: how long to stay inside, once, unless a signal comes; 0: again and again, at random.
    pub hold_ns: u64,
    /// Times that this thread entered, nested entries not counted.
    pub entered: u64,
    /// Times that it entered once more from inside.
    pub nested: u64,
    /// Times that `try_lock` found the lock busy.
    pub busy: u64,
    /// Waits that a deadline ended.
    pub timed_out: u64,
    /// Waits that a signal ended.
    pub interrupted: u64,
    /// 1 where the lock was destroyed.
    pub dead: u64,
}

/// Argument of [`STAX_TOTAL`].
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Total {
    /// Times that a thread of the out-of-band stage entered.
    pub oob: u64,
    /// Times that an in-band thread entered.
    pub inband: u64,
    /// Times that a thread found the other stage inside.
    pub violations: u64,
    /// Threads that are inside now.
    pub inside: u64,
    /// The most sections of the other stage that began while a thread waited, from when it went to
    /// sleep.
    pub most_passed: u64,
}
