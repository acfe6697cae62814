// SPDX-License-Identifier: GPL-2.0-only

//! The lock itself: the words in memory, and the order of what is done to them.
//!
//! ```text
//!   lock:    load, CAS count+1 ------------------------------------> inside     one read-modify-write
//!              | refused
//!              '-> [queue lock: Arrive] -> sleep until my epoch moves -> inside
//!                                            | signal, deadline
//!                                            '-> [queue lock: Withdraw] -> error, unless let in meanwhile
//!   unlock:  count-1 ----------------------------------------------> outside    one read-modify-write
//!              | last one, somebody waits
//!              '-> [queue lock: Settle: hands over, wakes]
//! ```
//!
//! Rules: entering acquires, leaving releases, a hand-over does both, and an epoch carries it on to the threads let in. So
//! each stage sees all that the other did before it.

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
    /// The lock is destroyed, or was while the thread waited.
    Dead,
    /// The deadline passed first; only from [`Stax::lock_until`].
    TimedOut,
    /// A signal or a forced unblock came first.
    Interrupted,
    /// As many entries, or as many threads that wait, as can be counted ([`Gate::MAX`]).
    Overflow,
}

/// Why [`Stax::try_lock`] did not enter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryLockError {
    /// The lock is destroyed.
    Dead,
    /// The other stage is inside, or somebody waits already.
    WouldBlock,
    /// As many entries as can be counted ([`Gate::MAX`]).
    Overflow,
}

/// Why [`Guard::nest`] did not enter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NestError {
    /// As many entries as can be counted ([`Gate::MAX`]).
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
    /// A free lock.
    pub fn new(value: T, backend: B) -> Self {
        Self {
            gate: AtomicU32::new(Gate::FREE.bits()),
            oob_epoch: AtomicUsize::new(Epoch::START.bits()),
            inband_epoch: AtomicUsize::new(Epoch::START.bits()),
            backend,
            value,
        }
    }

    /// What was given to [`Self::new`]: for its own counters and its printing.
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
        // The value that is found most often, by itself: what becomes of it need not be worked out.
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
    /// Enters, waiting while the other stage is inside.
    ///
    /// A thread that is inside already uses [`Guard::nest`]: waiting here it could wait for itself.
    ///
    /// # Errors
    ///
    /// [`LockError`], but not `TimedOut`.
    #[inline]
    pub fn lock<'a, S: Stage>(&'a self, stage: &'a S) -> Result<Guard<'a, T, S, B>, LockError>
    where
        B: Sleep<S>,
    {
        self.lock_until(stage, Instant::NEVER)
    }

    /// Enters, waiting until `deadline` at most. A lock that can be entered at once is, also after the deadline.
    ///
    /// # Errors
    ///
    /// [`LockError`].
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

    /// Enters if that can be done at once; neither sleeps nor spins.
    ///
    /// # Errors
    ///
    /// [`TryLockError`].
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

    /// Ends the lock: who waits is woken with [`LockError::Dead`], who comes gets it at once. Callable from either
    /// stage, more than once.
    ///
    /// Who is inside stays inside until he leaves, may nest, and has the value for as long: this does not wait for him.
    /// The memory is kept by ownership alone. Every call and every guard borrows the lock until it has made its last
    /// access, so whoever can drop the lock (its owner, the last of several `Arc`s) knows that no call is under way; a
    /// caller that frees it by a raw pointer must know the same by other means, and a count of 0 does not say it.
    pub fn destroy(&self) {
        self.run(Task::Close);
    }

    /// One stay under the queue lock.
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
            // Let in wins over whatever else ended the sleep.
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

/// Whether an outcome of [`Task::Arrive`] or [`Task::Withdraw`] that leaves nobody waiting is an entry.
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

/// The stage of type `S` is inside. Dropping it leaves; forgetting it keeps the other stage out for ever.
pub struct Guard<'a, T, S: Stage, B: Backend> {
    stax: &'a Stax<T, B>,
    /// Neither `Send` nor longer-lived than the token.
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

    /// Enters once more, whoever waits and even if the lock is destroyed: the stage is inside, and stays as long as the
    /// longer of both guards.
    ///
    /// # Errors
    ///
    /// [`NestError::Overflow`].
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
        // Whether it was the last exit matters only to those who wait.
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
