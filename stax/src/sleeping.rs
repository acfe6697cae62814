// SPDX-License-Identifier: GPL-2.0-only

//! The backend with which the threads of both stages sleep, each stage in a wait queue of its own.
//! An in-band caller that cannot sleep spins.

use crate::backend::{Backend, End, Sleep, spin};
use crate::queue::Queue;
use crate::stage::{Atomic, Side, Stage};
use oob::lock::HardLock;
use oob::record::Wait;
use oob::stage::MayWait;
use oob::time::{Clock, Instant};
use oob::wait::{WaitError, WaitQueue};

/// A backend for any core, made of that core's hard lock, wait queues and clock.
///
/// Drivers do not build one: the constructors in [`crate::cores`] do.
pub struct SleepingBackend<Q, W, C> {
    queue: Q,
    oob_waiters: W,
    inband_waiters: W,
    clock: C,
}

impl<Q: HardLock<Queue>, W: WaitQueue, C: Clock> SleepingBackend<Q, W, C> {
    /// A backend without waiters. `queue` holds [`Queue::new`].
    pub const fn new(queue: Q, oob_waiters: W, inband_waiters: W, clock: C) -> Self {
        Self {
            queue,
            oob_waiters,
            inband_waiters,
            clock,
        }
    }

    const fn waiters(&self, side: Side) -> &W {
        match side {
            Side::Oob => &self.oob_waiters,
            Side::Inband => &self.inband_waiters,
        }
    }
}

impl<Q: HardLock<Queue>, W: WaitQueue, C: Clock> Backend for SleepingBackend<Q, W, C> {
    fn with_queue<R>(&self, f: impl FnOnce(&mut Queue) -> R) -> R {
        self.queue.with(f)
    }

    fn wake_all(&self, side: Side) {
        self.waiters(side).wake_all();
    }
}

impl<S: Stage + MayWait, Q: HardLock<Queue>, W: WaitQueue, C: Clock> Sleep<S>
    for SleepingBackend<Q, W, C>
{
    fn sleep(&self, stage: &S, deadline: Instant, ready: impl Fn() -> bool) -> End {
        let waiters = self.waiters(S::SIDE);
        match waiters.wait(Wait::StageLock, stage, deadline, ready) {
            Ok(()) | Err(WaitError::Closed) => End::Woken,
            Err(WaitError::TimedOut) => End::TimedOut,
            Err(WaitError::Interrupted) => End::Interrupted,
        }
    }
}

impl<Q: HardLock<Queue>, W: WaitQueue, C: Clock> Sleep<Atomic<'_>> for SleepingBackend<Q, W, C> {
    fn sleep(&self, _: &Atomic<'_>, deadline: Instant, ready: impl Fn() -> bool) -> End {
        spin(&self.clock, deadline, ready)
    }
}
