// SPDX-License-Identifier: GPL-2.0-only

//! Calls that test the stage's services one by one: each plays one scene and returns what happened.

use oobkit_abi::ioc;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum End {
    /// The wait did not begin, or has not ended.
    None = 0,
    /// The event came.
    Had = 1,
    /// The deadline passed.
    TimedOut = 2,
    /// A signal or a stop request came.
    Interrupted = 3,
    /// The event's source is gone, or the work was cancelled.
    Closed = 4,
    /// The thread would have waited for itself.
    Deadlock = 5,
}

/// Three kernel threads on one processor: the low one holds a lock that the high one wants, and the
/// middle one computes for long.
pub const MUTEX_INVERSION: u32 = ioc::iowr::<Inversion>(b'T', 0x10);
/// The calling thread of the out-of-band stage locks while it holds the lock; see [`Twice`].
pub const MUTEX_TWICE: u32 = ioc::ior::<Twice>(b'T', 0x11);
/// The calling oob thread wants a lock that another thread keeps. Returns an [`End`].
pub const MUTEX_KEPT: u32 = ioc::io(b'T', 0x12);

/// Which thread is woken first: a middle one, or a low one whose mutex a high one wants; see
/// [`Places`].
pub const MUTEX_PLACES: u32 = ioc::iowr::<Places>(b'T', 0x13);

/// Argument of [`MUTEX_PLACES`].
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Places {
    /// In: the processor.
    pub cpu: u32,
    /// The low thread's place in the order of wake-ups, 1 or 2.
    pub low: u32,
    /// The middle thread's place.
    pub middle: u32,
    /// Reserved: 0.
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
    /// In: 1 for the mutex; 0 for a semaphore instead, which has no owner.
    pub is_mutex: u32,
    /// In: how long the low thread computes with the lock held, in ns.
    pub hold_ns: u64,
    /// In: how long the middle thread computes, in ns.
    pub middle_ns: u64,
    /// The time from the high thread's call to when it held the lock.
    pub waited_ns: u64,
    /// 1 if the middle thread had begun by then.
    pub middle_was_first: u32,
    /// Reserved: 0.
    pub reserved: u32,
}

/// Argument of [`MUTEX_TWICE`]: [`End`]s.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Twice {
    /// The result of the first lock.
    pub first: u32,
    /// The result of a second lock with the first one held.
    pub second: u32,
    /// 1 if `try_lock` found the lock busy while it was held.
    pub is_busy: u32,
    /// The result of a lock after all that.
    pub after: u32,
}

/// Starts a kernel thread of the out-of-band stage, called `oob-trial`, that waits for ever.
pub const THREAD_START: u32 = ioc::iow::<Start>(b'T', 0x20);
/// Stops that thread.
pub const THREAD_STOP: u32 = ioc::ior::<Stopped>(b'T', 0x21);

/// The kind of wait of a thread.
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
    /// None: the thread computes and checks whether it should stop.
    Computing = 4,
    /// A sleep.
    Sleep = 5,
}

/// Argument of [`THREAD_START`].
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Start {
    /// The thread's priority.
    pub priority: i32,
    /// The thread's processor, or -1.
    pub cpu: i32,
    /// The kind of wait: a [`Place`].
    pub place: u32,
    /// 1: the call returns before the thread waits.
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
    /// How the thread's wait ended: an [`End`].
    pub first: u32,
    /// How a later wait ended: an [`End`].
    pub second: u32,
    /// 1 if the thread was not asked to stop when its wait ended.
    pub was_early: u32,
    /// The number of values of the thread's body that were not dropped.
    pub left: u32,
}

/// Calls work `calls` times, one after the other.
pub const WORK_CALLS: u32 = ioc::iowr::<Work>(b'T', 0x30);
/// Calls once, and then twice during that run.
pub const WORK_DURING: u32 = ioc::ior::<Work>(b'T', 0x31);
/// The calling thread of the out-of-band stage calls and waits.
pub const WORK_WAIT: u32 = ioc::iowr::<Work>(b'T', 0x32);
/// Cancels during a run, while a thread waits for the next.
pub const WORK_CANCEL: u32 = ioc::ior::<Work>(b'T', 0x33);
/// Drops the work during a run, with another run requested.
pub const WORK_DROP: u32 = ioc::ior::<Work>(b'T', 0x34);

/// Argument of the `WORK_` calls.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Work {
    /// In: the number of calls.
    pub calls: u32,
    /// In: 1 if a timer's handler calls, in hard interrupt context.
    pub from_interrupt: u32,
    /// In: how long a run takes, in ns.
    pub takes_ns: u64,
    /// In: the deadline of the call.
    pub until_ns: u64,
    /// In: the result of a run. Out: the result that the call returned.
    pub result: i32,
    /// How the waits ended: an [`End`].
    pub end: u32,
    /// The number of calls that returned true: they requested a run.
    pub first_calls: u32,
    /// The number of runs that began.
    pub begun: u32,
    /// The number of runs that ended.
    pub ended: u32,
    /// The number of runs in the calling thread.
    pub in_caller: u32,
}

/// A periodic timer, one call of which is delayed.
pub const TIMER_DATES: u32 = ioc::iowr::<Dates>(b'T', 0x40);

/// Argument of [`TIMER_DATES`].
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Dates {
    /// In: the period, or 0 for one date.
    pub period_ns: u64,
    /// In: how long the first date lies before the call that arms the timer.
    pub ago_ns: u64,
    /// In: how long the call number `held` takes.
    pub hold_ns: u64,
    /// In: the number of the delayed call, from 1 on; 0: none.
    pub held: u32,
    /// In: the number of calls to wait for. Out: the number of calls.
    pub calls: u32,
    /// The number of missed dates.
    pub missed: u64,
    /// The number of missed dates that the first call got.
    pub missed_first: u64,
    /// The number of missed dates that the call after the delayed one got.
    pub missed_next: u64,
    /// The number of calls after which calls and missed dates add up to more dates than have
    /// passed, or to fewer and stay so.
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
    /// In: the line; -1: a line of the trial itself, for which a timer's handler plays the
    /// interrupt controller.
    pub line: i32,
    /// In: the I/O port of the printer port that has the line.
    pub port: u32,
    /// In: the handler's answer: 0 no, 1 yes, 2 forward.
    pub says: u32,
    /// In: the number of interrupts.
    pub times: u32,
    /// The number of calls of the handler.
    pub handled: u32,
    /// The number of runs of the in-band part.
    pub inband: u32,
    /// The number of its runs in the interrupting thread, or overlapping another run.
    pub astray: u32,
}

/// A timer's handler, an oob thread and an in-band thread pass a pool's blocks round.
pub const POOL_SHARED: u32 = ioc::iowr::<Shared>(b'T', 0x60);

/// Argument of [`POOL_SHARED`].
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Shared {
    /// In: the number of blocks.
    pub count: u32,
    /// In: the size of a block in bytes.
    pub size: u32,
    /// In: the number of the handler's calls to wait for.
    pub calls: u32,
    /// The number of blocks that the handler sent.
    pub sent: u32,
    /// The number of blocks that the oob thread received.
    pub received: u32,
    /// The number of the handler's calls that found no free block.
    pub exhausted: u32,
    /// The number of blocks that came out of order or had a changed content.
    pub spoilt: u32,
    /// The number of blocks that could be taken in the end.
    pub blocks: u32,
}
