// SPDX-License-Identifier: GPL-2.0-only

//! `/dev/oob/bench`: single operations of the kit and of mainline, timed inside the kernel. For
//! `oob-bench`.
//!
//! ```text
//!   program                         kernel
//!     PAIR_X   ------------------>    stamp, X entered and left `times` times, stamp
//!     HOLD_X of one thread ------>    takes X, has the other one come, stamp, releases X --.
//!     TAKE_X of another one ----->    waits for X, stamp  <-------------------------------'
//!     WAKE_X   ------------------>    arms a hard timer, sleeps; the timer's handler: stamp, wakes; stamp
//!     CALL, INBAND_CALL, UP, DOWN     nothing is timed here: the program does
//! ```
//!
//! A stamp is a reading of the processor's counter. What two stamps with nothing between them take
//! is in every figure: [`PAIR_NOTHING`] tells it.

use oobkit_abi::ioc;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Path of the device.
pub const PATH: &str = "/dev/oob/bench";

/// Argument of all that is timed here.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Round {
    /// In, of a pair: how often.
    pub times: u32,
    /// In, of a wake-up: how long from now, in ns.
    pub after_ns: u32,
    /// Out: ticks of the counter in all, unless the command says ns.
    pub took: u64,
}

const fn round(nr: u8) -> u32 {
    ioc::iowr::<Round>(b'B', nr)
}

/// Two stamps, by the kit's code.
pub const PAIR_NOTHING: u32 = round(0);
/// Two stamps, by C.
pub const PAIR_NOTHING_C: u32 = round(1);
/// The stage lock by a thread of either stage.
pub const PAIR_STAX: u32 = round(2);
/// The stage lock while the stage is inside already.
pub const PAIR_STAX_SHARED: u32 = round(3);
/// Mainline's mutex.
pub const PAIR_MUTEX: u32 = round(4);
/// Mainline's rwsem, as a writer.
pub const PAIR_RWSEM_WRITE: u32 = round(5);
/// Mainline's rwsem, as a reader.
pub const PAIR_RWSEM_READ: u32 = round(6);
/// Mainline's rwsem, as a reader beside another one.
pub const PAIR_RWSEM_SHARED: u32 = round(7);
/// Mainline's spinlock.
pub const PAIR_SPINLOCK: u32 = round(8);
/// The kit's semaphore, up and down. Attached threads only.
pub const PAIR_SEMAPHORE: u32 = round(9);
/// Mainline's semaphore, up and down.
pub const PAIR_SEMAPHORE_C: u32 = round(10);

/// Hands the stage lock over to the thread in [`TAKE_STAX`], of the other stage.
pub const HOLD_STAX: u32 = round(20);
/// Hands the mutex over.
pub const HOLD_MUTEX: u32 = round(21);
/// Hands the rwsem over, from writer to writer.
pub const HOLD_RWSEM: u32 = round(22);
/// Waits for the stage lock. 0 where there was nothing to wait for.
pub const TAKE_STAX: u32 = round(23);
/// Waits for the mutex. 0 where there was nothing to wait for.
pub const TAKE_MUTEX: u32 = round(24);
/// Waits for the rwsem. 0 where there was nothing to wait for.
pub const TAKE_RWSEM: u32 = round(25);

/// A flag without a deadline. Attached threads only, as for all of the kit's.
pub const WAKE_FLAG: u32 = round(30);
/// A flag with a deadline.
pub const WAKE_FLAG_UNTIL: u32 = round(31);
/// The kit's semaphore.
pub const WAKE_SEMAPHORE: u32 = round(32);
/// `wait_for_completion` and `complete`.
pub const WAKE_COMPLETION: u32 = round(33);
/// `wait_for_completion_timeout` and `complete`.
pub const WAKE_COMPLETION_TIMEOUT: u32 = round(34);
/// `schedule` and `wake_up_process`.
pub const WAKE_PROCESS: u32 = round(35);
/// `schedule_hrtimeout` and `wake_up_process`.
pub const WAKE_PROCESS_UNTIL: u32 = round(36);
/// `down` and `up`.
pub const WAKE_SEMAPHORE_C: u32 = round(37);
/// From a date to the handler of the kit's timer, in ns.
pub const EXPIRY: u32 = round(38);
/// From a date to the handler of a plain hrtimer, in ns.
pub const EXPIRY_C: u32 = round(39);
/// From a date to the thread whose wait it ended, in ns.
pub const SLEEP: u32 = round(40);
/// The same by `schedule_hrtimeout`, in ns.
pub const SLEEP_C: u32 = round(41);

/// As [`EXPIRY`], of a timer with a period.
pub const EXPIRY_PERIODIC: u32 = round(42);
/// As [`EXPIRY_C`], of a timer with a period.
pub const EXPIRY_PERIODIC_C: u32 = round(43);

/// An exchange call that does nothing. Attached threads only.
pub const CALL: u32 = ioc::io(b'B', 50);
/// An in-band call of the same device that does nothing.
pub const INBAND_CALL: u32 = ioc::io(b'B', 51);
/// The kit's semaphore, up: an exchange call.
pub const UP: u32 = ioc::io(b'B', 52);
/// The kit's semaphore, down: an exchange call.
pub const DOWN: u32 = ioc::io(b'B', 53);
