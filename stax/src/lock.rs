// SPDX-License-Identifier: GPL-2.0-only

//! The lock itself: the words in memory, and the order of the accesses to them.
//!
//! ```text
//!   lock:    load, CAS count+1 ------------------------------------> inside     one read-modify-write
//!              | refused
//!              '-> [queue lock: Arrive] -> sleep until my epoch moves -> inside
//!                                            | signal, deadline
//!                                            '-> [queue lock: Withdraw] -> error, unless granted meanwhile
//!   unlock:  count-1 ----------------------------------------------> outside    one read-modify-write
//!              | last exit, and threads wait
//!              '-> [queue lock: Settle: hands over, wakes]
//! ```
//!
//! Rules: entering acquires and leaving releases. A hand-over does both, and the epoch passes it on
//! to the threads that were granted entry. So each stage sees all that the other did before.

use crate::backend::{Backend, End, Sleep};
use crate::gate::{Gate, Refusal};
use crate::queue::{Epoch, Fate, Outcome, QueueOp, SharedWords, Task};
use crate::stage::{Side, Stage};
use crate::sync::{AtomicU32, AtomicUsize, Ordering};
use core::fmt;
use core::marker::PhantomData;
use core::ops::Deref;
use oob::time::Instant;

/// Why [`Stax::lock`] or [`Stax::lock_until`] did not enter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockError {
    /// The lock is destroyed, or was destroyed while the thread waited.
    Dead,
    /// The deadline passed first; only from [`Stax::lock_until`].
    TimedOut,
    /// A signal or a forced unblock came first.
    Interrupted,
    /// The number of entries, or of waiting threads, is at its maximum ([`Gate::MAX`]).
    Overflow,
}

/// Why [`Stax::try_lock`] did not enter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryLockError {
    /// The lock is destroyed.
    Dead,
    /// The other stage is inside, or a thread waits already.
    WouldBlock,
    /// The number of entries is at its maximum ([`Gate::MAX`]).
    Overflow,
}

/// Why [`Guard::nest`] did not enter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NestError {
    /// The number of entries is at its maximum ([`Gate::MAX`]).
    Overflow,
}

/// A value that both stages share, one stage at a time.
pub struct Stax<T, B> {
    gate: AtomicU32,
    oob_epoch: AtomicUsize,
    inband_epoch: AtomicUsize,
    backend: B,
    value: T,
}

impl<T, B> Stax<T, B> {
    /// A free lock over a backend. Drivers use the constructors in [`crate::cores`].
    pub fn new(value: T, backend: B) -> Self {
        Self {
            gate: AtomicU32::new(Gate::FREE.bits()),
            oob_epoch: AtomicUsize::new(Epoch::START.bits()),
            inband_epoch: AtomicUsize::new(Epoch::START.bits()),
            backend,
            value,
        }
    }

    /// The backend, for its own counters and debug output.
    pub const fn backend(&self) -> &B {
        &self.backend
    }

    #[inline(always)]
    fn load(&self) -> Gate {
        Gate::from_bits(self.gate.load(Ordering::Acquire))
    }

    #[inline(always)]
    fn cas(&self, seen: Gate, new: Gate, success: Ordering) -> Result<(), Gate> {
        self.gate
            .compare_exchange_weak(seen.bits(), new.bits(), success, Ordering::Acquire)
            .map(|_| ())
            .map_err(Gate::from_bits)
    }

    #[inline(always)]
    fn enter(&self, side: Side) -> Result<(), Refusal> {
        let mut seen = self.load();
        // The most frequent value is tried first: its successor is a constant.
        let free = Gate::left_by(side);
        if seen == free {
            match self.cas(free, free.enter(side)?, Ordering::Acquire) {
                Ok(()) => return Ok(()),
                Err(now) => seen = now,
            }
        }
        loop {
            match self.cas(seen, seen.enter(side)?, Ordering::Acquire) {
                Ok(()) => return Ok(()),
                Err(now) => seen = now,
            }
        }
    }

    fn epoch_word(&self, side: Side) -> &AtomicUsize {
        match side {
            Side::Oob => &self.oob_epoch,
            Side::Inband => &self.inband_epoch,
        }
    }

    fn epoch(&self, side: Side) -> Epoch {
        Epoch::from_bits(self.epoch_word(side).load(Ordering::Acquire))
    }
}

impl<T, B: Backend> Stax<T, B> {
    /// Enters; waits while the other stage is inside.
    ///
    /// A thread that is inside already uses [`Guard::nest`]. Here it could wait for itself.
    ///
    /// # Errors
    ///
    /// See [`LockError`], but never `TimedOut`.
    #[inline]
    pub fn lock<'a, S: Stage>(&'a self, stage: &'a S) -> Result<Guard<'a, T, S, B>, LockError>
    where
        B: Sleep<S>,
    {
        self.lock_until(stage, Instant::NEVER)
    }

    /// Enters; waits until `deadline` at the latest. If the lock can be entered at once, it is,
    /// even after the deadline.
    ///
    /// # Errors
    ///
    /// See [`LockError`].
    #[inline]
    pub fn lock_until<'a, S: Stage>(
        &'a self,
        stage: &'a S,
        deadline: Instant,
    ) -> Result<Guard<'a, T, S, B>, LockError>
    where
        B: Sleep<S>,
    {
        match self.enter(S::SIDE) {
            Ok(()) => {}
            Err(Refusal::Busy) => self.lock_slow(stage, deadline)?,
            Err(Refusal::Dead) => return Err(LockError::Dead),
            Err(Refusal::Full) => return Err(LockError::Overflow),
        }
        Ok(Guard::new(self))
    }

    /// Enters if that is possible at once; neither sleeps nor spins.
    ///
    /// # Errors
    ///
    /// See [`TryLockError`].
    #[inline]
    pub fn try_lock<'a, S: Stage>(
        &'a self,
        _stage: &'a S,
    ) -> Result<Guard<'a, T, S, B>, TryLockError> {
        match self.enter(S::SIDE) {
            Ok(()) => Ok(Guard::new(self)),
            Err(Refusal::Busy) => Err(TryLockError::WouldBlock),
            Err(Refusal::Dead) => Err(TryLockError::Dead),
            Err(Refusal::Full) => Err(TryLockError::Overflow),
        }
    }

    /// Destroys the lock: waiters wake with [`LockError::Dead`], and later callers get it at once.
    /// Callable from either stage, and more than once.
    ///
    /// Threads inside stay inside until they leave. They may nest, and keep the value meanwhile;
    /// this call does not wait for them.
    ///
    /// Ownership alone keeps the memory. Every call and every guard borrows the lock until its last
    /// access. So code that can drop the lock (its owner, the last of several `Arc`s) knows that no
    /// call is under way. A caller that frees the lock by a raw pointer must know the same by other
    /// means; a count of 0 does not prove it.
    pub fn destroy(&self) {
        self.run(Task::Close);
    }

    /// Runs one operation under the queue lock.
    fn run(&self, task: Task) -> Outcome {
        self.backend.with_queue(|queue| {
            let mut op = QueueOp::new(task);
            while op.step(queue, &mut &*self) {}
            op.outcome
        })
    }

    #[cold]
    #[inline(never)]
    fn lock_slow<S: Stage>(&self, stage: &S, deadline: Instant) -> Result<(), LockError>
    where
        B: Sleep<S>,
    {
        let ticket = match self.run(Task::Arrive(S::SIDE)) {
            Outcome::Wait(ticket) => ticket,
            outcome => return entered(outcome),
        };
        loop {
            let ready = || self.epoch(S::SIDE) != ticket;
            let end = self.backend.sleep(stage, deadline, ready);
            // A granted entry wins over any other reason for which the sleep ended.
            match self.epoch(S::SIDE).fate(ticket) {
                Fate::Granted => return Ok(()),
                Fate::Dead => return Err(LockError::Dead),
                Fate::Waiting => {}
            }
            let error = match end {
                End::Woken => continue,
                End::TimedOut => LockError::TimedOut,
                End::Interrupted => LockError::Interrupted,
            };
            return match self.run(Task::Withdraw(S::SIDE, ticket)) {
                Outcome::Withdrawn => Err(error),
                outcome => entered(outcome),
            };
        }
    }

    #[cold]
    #[inline(never)]
    fn left(&self, before: Gate) {
        if before.must_hand_over() {
            self.run(Task::Settle);
        }
    }
}

/// The result of a [`Task::Arrive`] or [`Task::Withdraw`] after which the thread does not wait.
fn entered(outcome: Outcome) -> Result<(), LockError> {
    match outcome {
        Outcome::Entered => Ok(()),
        Outcome::Full => Err(LockError::Overflow),
        _ => Err(LockError::Dead),
    }
}

impl<T, B: Backend> SharedWords for &Stax<T, B> {
    fn load(&mut self) -> Gate {
        Stax::load(self)
    }

    fn cas(&mut self, seen: Gate, new: Gate) -> Result<(), Gate> {
        Stax::cas(self, seen, new, Ordering::AcqRel)
    }

    fn epoch(&mut self, side: Side) -> Epoch {
        Stax::epoch(self, side)
    }

    fn set_epoch(&mut self, side: Side, epoch: Epoch) {
        self.epoch_word(side).store(epoch.bits(), Ordering::Release);
    }

    fn wake_all(&mut self, side: Side) {
        self.backend.wake_all(side);
    }
}

impl<T: fmt::Debug, B> fmt::Debug for Stax<T, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stax")
            .field("gate", &self.load())
            .finish_non_exhaustive()
    }
}

/// The guard of a [`Stax`]: a thread of stage `S` is inside. Dropping the guard leaves. A leaked
/// guard keeps the other stage out for ever.
pub struct Guard<'a, T, S: Stage, B: Backend> {
    stax: &'a Stax<T, B>,
    /// Makes the guard neither `Send` nor longer-lived than the token.
    stage: PhantomData<&'a S>,
}

impl<'a, T, S: Stage, B: Backend> Guard<'a, T, S, B> {
    #[inline(always)]
    const fn new(stax: &'a Stax<T, B>) -> Self {
        Self {
            stax,
            stage: PhantomData,
        }
    }

    /// Enters once more, even if threads wait or the lock is destroyed. The stage stays inside
    /// until both guards are dropped.
    ///
    /// # Errors
    ///
    /// See [`NestError`].
    #[inline]
    pub fn nest(&self) -> Result<Self, NestError> {
        let mut seen = self.stax.load();
        loop {
            let new = seen.nest().ok_or(NestError::Overflow)?;
            match self.stax.cas(seen, new, Ordering::Acquire) {
                Ok(()) => return Ok(Self::new(self.stax)),
                Err(now) => seen = now,
            }
        }
    }
}

impl<T, S: Stage, B: Backend> Deref for Guard<'_, T, S, B> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        &self.stax.value
    }
}

impl<T, S: Stage, B: Backend> Drop for Guard<'_, T, S, B> {
    #[inline]
    fn drop(&mut self) {
        let before = Gate::from_bits(self.stax.gate.fetch_sub(1, Ordering::Release));
        // Without waiters it does not matter whether this was the last exit.
        if before.is_waited_for() {
            self.stax.left(before);
        }
    }
}

impl<T: fmt::Debug, S: Stage, B: Backend> fmt::Debug for Guard<'_, T, S, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Guard").field(&**self).finish()
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
