// SPDX-License-Identifier: GPL-2.0-only

//! The lock where both stages sleep: the threads of each in a line of their own. Who cannot sleep spins.

use crate::backend::{Backend, End, Sleep, spin};
use crate::queue::Queue;
use crate::stage::{Atomic, Side, Stage};
use oob::monitor::{HardLock, WaitQueue};
use oob::record::Wait;
use oob::stage::MayWait;
use oob::time::{Clock, Instant};
use oob::wait::WaitError;

/// For [`crate::Stax::new`] on any core, of what that core has: a hard lock, two lines, its clock.
pub struct SleepingBackend<Q, L, C> {
    queue: Q,
    oob: L,
    inband: L,
    clock: C,
}

impl<Q: HardLock<Queue>, L: WaitQueue, C: Clock> SleepingBackend<Q, L, C> {
    /// `queue` holds a new [`Queue`].
    pub const fn new(queue: Q, oob: L, inband: L, clock: C) -> Self {
        Self {
            queue,
            oob,
            inband,
            clock,
        }
    }

    const fn queue_of(&self, side: Side) -> &L {
        match side {
            Side::Oob => &self.oob,
            Side::Inband => &self.inband,
        }
    }
}

impl<Q: HardLock<Queue>, L: WaitQueue, C: Clock> Backend for SleepingBackend<Q, L, C> {
    fn with_queue<R>(&self, f: impl FnOnce(&mut Queue) -> R) -> R {
        self.queue.with(f)
    }

    fn wake_all(&self, side: Side) {
        self.queue_of(side).wake_all();
    }
}

impl<S: Stage + MayWait, Q: HardLock<Queue>, L: WaitQueue, C: Clock> Sleep<S>
    for SleepingBackend<Q, L, C>
{
    fn sleep(&self, stage: &S, deadline: Instant, ready: impl Fn() -> bool) -> End {
        let line = self.queue_of(S::SIDE);
        match line.wait(Wait::StageLock, stage, deadline, ready) {
            Ok(()) | Err(WaitError::Closed) => End::Woken,
            Err(WaitError::TimedOut) => End::TimedOut,
            Err(WaitError::Interrupted) => End::Interrupted,
        }
    }
}

impl<Q: HardLock<Queue>, L: WaitQueue, C: Clock> Sleep<Atomic<'_>> for SleepingBackend<Q, L, C> {
    fn sleep(&self, _: &Atomic<'_>, deadline: Instant, ready: impl Fn() -> bool) -> End {
        spin(&self.clock, deadline, ready)
    }
}
