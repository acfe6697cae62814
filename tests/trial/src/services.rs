// SPDX-License-Identifier: GPL-2.0-only

//! Calls that try the stage's services one by one: each plays one scene, and tells what happened.

use oobkit_abi::ioc;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum End {
    /// It did not begin, or has not ended.
    None = 0,
    /// With what was waited for.
    Had = 1,
    /// At its deadline.
    TimedOut = 2,
    /// By a signal, or a request to stop.
    Interrupted = 3,
    /// What was waited for is gone, or was cancelled.
    Closed = 4,
    /// The thread would have waited for itself.
    Deadlock = 5,
}

/// Three kernel threads on one processor: the low one holds a lock that the high one wants, and the
/// middle one has much to do.
pub const MUTEX_INVERSION: u32 = ioc::iowr::<Inversion>(b'T', 0x10);
/// The calling thread of the out-of-band stage locks while it holds the lock; see [`Twice`].
pub const MUTEX_TWICE: u32 = ioc::ior::<Twice>(b'T', 0x11);
/// The same wants a lock that another thread keeps; gives an [`End`].
pub const MUTEX_KEPT: u32 = ioc::io(b'T', 0x12);

/// Who is woken first: a middle thread, or a low one whose mutex a high one wants; see [`Places`].
pub const MUTEX_PLACES: u32 = ioc::iowr::<Places>(b'T', 0x13);

/// Argument of [`MUTEX_PLACES`].
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Places {
    /// In: the processor.
    pub cpu: u32,
    /// The low thread's place among those woken, 1 or 2.
    pub low: u32,
    /// The middle thread's.
    pub middle: u32,
    /// 0.
    pub reserved: u32,
}

/// Argument of [`MUTEX_INVERSION`].
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Inversion {
    /// In: the processor.
    pub cpu: u32,
    /// In: 1 for the mutex, 0 for a semaphore in its place, which knows no owner.
    pub is_mutex: u32,
    /// In: how long the low one computes with the lock held, in ns.
    pub hold_ns: u64,
    /// In: how long the middle one computes.
    pub middle_ns: u64,
    /// From the high one's call to when it had the lock.
    pub waited_ns: u64,
    /// 1 where the middle one had begun by then.
    pub middle_was_first: u32,
    /// 0.
    pub reserved: u32,
}

/// Argument of [`MUTEX_TWICE`]: [`End`]s.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Twice {
    /// Of the first lock.
    pub first: u32,
    /// Of the second one, inside.
    pub second: u32,
    /// 1 where `try_lock` inside found it busy.
    pub is_busy: u32,
    /// Of one more after all that.
    pub after: u32,
}

/// Starts a kernel thread of the out-of-band stage, called `oob-trial`, that waits for ever.
pub const THREAD_START: u32 = ioc::iow::<Start>(b'T', 0x20);
/// Stops it.
pub const THREAD_STOP: u32 = ioc::ior::<Stopped>(b'T', 0x21);

/// What a thread waits in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Place {
    /// A monitor.
    Monitor = 0,
    /// A semaphore.
    Semaphore = 1,
    /// A flag.
    Flag = 2,
    /// A mutex that another thread keeps.
    Mutex = 3,
    /// Nothing: it computes, and asks whether it should stop.
    Computing = 4,
    /// Sleep.
    Sleep = 5,
}

/// Argument of [`THREAD_START`].
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Start {
    /// Its priority.
    pub priority: i32,
    /// Its processor, or -1.
    pub cpu: i32,
    /// Where it waits: a [`Place`].
    pub place: u32,
    /// 1: the call returns before the thread has begun to wait.
    pub at_once: u32,
}

/// Argument of [`THREAD_STOP`].
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Stopped {
    /// How long it took to stop it.
    pub took_ns: u64,
    /// How its wait ended: an [`End`].
    pub first: u32,
    /// How one more ended that it began then.
    pub second: u32,
    /// 1 where it had not been told to stop before its wait ended.
    pub was_early: u32,
    /// Values that the thread's body owned and that are still there.
    pub left: u32,
}

/// Calls for work `calls` times, one after the other.
pub const WORK_CALLS: u32 = ioc::iowr::<Work>(b'T', 0x30);
/// Calls once, and then twice during that run.
pub const WORK_DURING: u32 = ioc::ior::<Work>(b'T', 0x31);
/// The calling thread of the out-of-band stage calls and waits.
pub const WORK_WAIT: u32 = ioc::iowr::<Work>(b'T', 0x32);
/// Cancels during a run, while a thread waits for the next.
pub const WORK_CANCEL: u32 = ioc::ior::<Work>(b'T', 0x33);
/// Drops the work during a run, with one more called for.
pub const WORK_DROP: u32 = ioc::ior::<Work>(b'T', 0x34);

/// Argument of the `WORK_` calls.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Work {
    /// In: how often.
    pub calls: u32,
    /// In: 1 where a timer's handler calls, in hard interrupt context.
    pub from_interrupt: u32,
    /// In: how long a run takes, in ns.
    pub takes_ns: u64,
    /// In: the date to which the call waits.
    pub until_ns: u64,
    /// In: what a run gives; out, what the call gave.
    pub result: i32,
    /// How the waits ended: an [`End`].
    pub end: u32,
    /// Calls that were told that they are the first.
    pub first_calls: u32,
    /// Runs that began.
    pub begun: u32,
    /// Runs that ended.
    pub ended: u32,
    /// Runs in the calling thread.
    pub in_caller: u32,
}

/// A periodic timer, one call of which is held up.
pub const TIMER_DATES: u32 = ioc::iowr::<Dates>(b'T', 0x40);

/// Argument of [`TIMER_DATES`].
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Dates {
    /// In: the period, or 0 for one date.
    pub period_ns: u64,
    /// In: how long before the call that arms it its first date was.
    pub ago_ns: u64,
    /// In: how long the call `held` takes.
    pub hold_ns: u64,
    /// In: which one that is, from 1 on; 0: none.
    pub held: u32,
    /// In: how many calls to wait for; out: how many there were.
    pub calls: u32,
    /// Dates that it missed, all in all.
    pub missed: u64,
    /// Those of the first call.
    pub missed_first: u64,
    /// Those of the call after the one that was held.
    pub missed_next: u64,
    /// Calls for which calls and missed dates are together more than the clock says, or less for
    /// good.
    pub astray: u64,
}

/// An interrupt line is requested, interrupts several times, and is freed.
pub const INTERRUPT: u32 = ioc::iowr::<Interrupts>(b'T', 0x50);

/// Argument of [`INTERRUPT`].
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Interrupts {
    /// In: the line; -1: one of the trial's own, on which a timer's handler plays the controller.
    pub line: i32,
    /// In: the I/O port of the printer port that has the line.
    pub port: u32,
    /// In: what the handler says: 0 not mine, 1 done, 2 forward.
    pub says: u32,
    /// In: how many interrupts.
    pub times: u32,
    /// Calls of the handler.
    pub handled: u32,
    /// Runs of the in-band part.
    pub inband: u32,
    /// Runs of the in-band part in the thread that interrupted, or beside another one.
    pub astray: u32,
}

/// A pool's blocks go round between a timer's handler, a thread of the out-of-band stage and an
/// in-band one.
pub const POOL_SHARED: u32 = ioc::iowr::<Shared>(b'T', 0x60);

/// Argument of [`POOL_SHARED`].
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Shared {
    /// In: how many blocks.
    pub count: u32,
    /// In: bytes of each.
    pub size: u32,
    /// In: how many calls of the handler to wait for.
    pub calls: u32,
    /// Blocks that the handler sent.
    pub sent: u32,
    /// Blocks that the thread received.
    pub received: u32,
    /// Calls of the handler that found none free.
    pub exhausted: u32,
    /// Blocks that came in another order, or were not as they had been left.
    pub spoilt: u32,
    /// Blocks that could be taken in the end.
    pub blocks: u32,
}
