// SPDX-License-Identifier: GPL-2.0-only

//! `oob_trial.ko`: tests the stage's services from inside a kernel, for `guest-tests`.
//!
//! ```text
//!   open /dev/oob/trial --> a stage lock of its own
//!     STAX_HAMMER   the calling thread, of either stage, enters and leaves at random until a date
//!     STAX_DESTROY  destroys the lock
//!     STAX_TOTAL    returns the counts of the threads inside
//!     STAX_LOSE     drops the next N wake-ups, so that a test can check that it would notice
//!     write         plants a defect, which the debug kernel must report: module/plants.rs
//!   open /dev/oob/trial-files --> files.rs
//!     services.rs   one scene for each promise of the other services
//! ```
//!
//! Only tests use this module.
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

/// Enters and leaves until [`Hammer::until_ns`], a signal, or the lock's destruction.
pub const STAX_HAMMER: u32 = ioc::iowr::<Hammer>(b'T', 1);
/// Destroys the lock.
pub const STAX_DESTROY: u32 = ioc::io(b'T', 2);
/// Returns the counts.
pub const STAX_TOTAL: u32 = ioc::ior::<Total>(b'T', 3);

/// Drops the lock's next N wake-ups, of either stage.
pub const STAX_LOSE: u32 = ioc::iow::<u64>(b'T', 4);

/// As [`STAX_HAMMER`], for an in-band caller that cannot sleep: it holds a spinlock and spins for
/// some 100 us at most. Busy attempts are followed by one that spins.
pub const STAX_SPIN: u32 = ioc::iowr::<Hammer>(b'T', 5);

/// Argument of [`STAX_HAMMER`]: the request and the counts.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Hammer {
    /// In: the seed of the random numbers.
    pub seed: u64,
    /// In: date on `CLOCK_MONOTONIC`.
    pub until_ns: u64,
    /// In: how long to stay inside, once, unless a signal comes; 0: enter again and again, for
    /// random times.
    pub hold_ns: u64,
    /// The number of entries, without nested ones.
    pub entered: u64,
    /// The number of nested entries.
    pub nested: u64,
    /// How often `try_lock` found the lock busy.
    pub busy: u64,
    /// The number of waits that a deadline ended.
    pub timed_out: u64,
    /// The number of waits that a signal ended.
    pub interrupted: u64,
    /// 1 if the lock was destroyed.
    pub dead: u64,
}

/// Argument of [`STAX_TOTAL`].
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Total {
    /// The number of entries of oob threads.
    pub oob: u64,
    /// The number of entries of in-band threads.
    pub inband: u64,
    /// How often a thread found the other stage inside.
    pub violations: u64,
    /// The number of threads inside now.
    pub inside: u64,
    /// The largest number of sections that the other stage began while a thread slept in its wait.
    pub most_passed: u64,
}
