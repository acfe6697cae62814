// SPDX-License-Identifier: GPL-2.0-only

//! The operations under the queue lock: arriving, giving up, handing over, destroying.
//!
//! ```text
//!   Arrive --refused--> waiting[S] += 1, WAITS.S --.
//!   Withdraw ----------> waiting[S] -= 1 ----------+--> Settle --no stage to grant--> Done
//!   (last exit) -----------------------------------'       |
//!                                                          '--grant(S)--> Epoch(S) moves --> Wake(S) --> Done
//!   Close: DEAD, waiting = 0 --> both epochs are closed and both sides woken --> Done
//! ```
//!
//! A [`QueueOp`] is one operation under the queue lock, as a state machine that makes one access to
//! shared memory per step: other threads enter and leave by the gate alone meanwhile. The lock runs
//! the steps one after the other. The search in `tests/search` runs the same steps with the other
//! threads' steps in between.
//!
//! Rules:
//! - a hand-over grants entry to *all* waiting threads of one stage, and counts them before any of
//!   them runs;
//! - it goes to the stage that was not inside last, if that stage waits;
//! - if an operation decides to write nothing, a later exit decides again: it sees the WAITS bit
//!   and comes here.

use crate::gate::{Gate, Refusal};
use crate::stage::Side;

/// The numbers of waiting threads of each stage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Queue {
    oob: u32,
    inband: u32,
}

impl Queue {
    /// No thread waits.
    pub const fn new() -> Self {
        Self { oob: 0, inband: 0 }
    }

    /// The number of waiting threads of `side`.
    pub const fn waiting(&self, side: Side) -> u32 {
        match side {
            Side::Oob => self.oob,
            Side::Inband => self.inband,
        }
    }

    /// Sets the number of waiting threads of `side`.
    pub const fn set_waiting(&mut self, side: Side, waiting: u32) {
        match side {
            Side::Oob => self.oob = waiting,
            Side::Inband => self.inband = waiting,
        }
    }

    /// Decides which stage enters next: returns the stage, and the gate with that stage inside. No
    /// other code decides it.
    pub fn grant(&self, seen: Gate) -> Option<(Side, Gate)> {
        let last = seen.owner();
        let side = match (seen.count(), self.waiting(last.other())) {
            (0, 1..) => last.other(),
            (0, 0) => last,
            // The waiters of the other stage, which these threads waited behind, have given up.
            (_, 0) => last,
            _ => return None,
        };
        match self.waiting(side) {
            0 => None,
            waiting => Some((side, seen.grant(side, waiting)?)),
        }
    }
}

/// The count of a stage's hand-overs. The lowest bit means that the lock is destroyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct Epoch(usize);

/// The state of a thread that began to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It still waits.
    Waiting,
    /// It was granted entry: it is counted as inside.
    Granted,
    /// The lock was destroyed first.
    Dead,
}

impl Epoch {
    /// Before the first hand-over.
    pub const START: Self = Self(0);

    /// The epoch of a word in memory.
    pub const fn from_bits(bits: usize) -> Self {
        Self(bits)
    }

    /// The word in memory.
    pub const fn bits(self) -> usize {
        self.0
    }

    /// The epoch after one more hand-over. It wraps: to be misled, a thread that was granted entry
    /// would have to miss half the range of the word.
    pub const fn next(self) -> Self {
        Self(self.0.wrapping_add(2))
    }

    /// The epoch of the destroyed lock.
    pub const fn closed(self) -> Self {
        Self(self.0 | 1)
    }

    /// The state now of a thread that began to wait at `ticket`.
    pub const fn fate(self, ticket: Self) -> Fate {
        if self.0 >> 1 != ticket.0 >> 1 {
            Fate::Granted
        } else if self.0 & 1 != 0 {
            Fate::Dead
        } else {
            Fate::Waiting
        }
    }
}

/// The words that threads also access without the queue lock. Each call is one access.
pub trait SharedWords {
    /// Reads the gate.
    fn load(&mut self) -> Gate;

    /// Replaces the gate by `new` if it is `seen`.
    ///
    /// # Errors
    ///
    /// The present value, if it is not `seen`.
    fn cas(&mut self, seen: Gate, new: Gate) -> Result<(), Gate>;

    /// Reads the epoch of `side`, which changes only under the queue lock.
    fn epoch(&mut self, side: Side) -> Epoch;

    /// Writes the epoch of `side`.
    fn set_epoch(&mut self, side: Side, epoch: Epoch);

    /// Wakes all sleepers of `side`.
    fn wake_all(&mut self, side: Side);
}

/// What an operation does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Task {
    /// A thread of the side could not enter at once: it enters or waits.
    Arrive(Side),
    /// A thread of the side, which began to wait at the epoch, gives up.
    Withdraw(Side, Epoch),
    /// Grants entry to the stage that is next, if any.
    Settle,
    /// Destroys the lock.
    Close,
    /// Moves the side's epoch: it was granted entry, or (`true`) the lock is destroyed.
    Move(Side, bool),
    /// Wakes the side whose epoch has moved.
    Wake(Side, bool),
    /// Nothing more.
    Done,
}

/// The result of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Of [`Task::Settle`] and [`Task::Close`].
    Done,
    /// The thread is inside.
    Entered,
    /// The lock is destroyed.
    Dead,
    /// The count has no room for one more entry, or for one more waiter.
    Full,
    /// The thread waits until its side's epoch moves.
    Wait(Epoch),
    /// The thread does not wait any more.
    Withdrawn,
}

/// One operation under the queue lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct QueueOp {
    /// The next step.
    pub task: Task,
    /// The gate as last read or written.
    pub seen: Option<Gate>,
    /// The result; final once `task` is [`Task::Done`].
    pub outcome: Outcome,
}

impl QueueOp {
    /// A new operation.
    pub const fn new(task: Task) -> Self {
        Self {
            task,
            seen: None,
            outcome: Outcome::Done,
        }
    }

    /// Makes one access. Returns `false` once the operation is done.
    #[inline]
    pub fn step(&mut self, queue: &mut Queue, words: &mut impl SharedWords) -> bool {
        match self.task {
            Task::Done => {}
            Task::Move(side, closing) => {
                let epoch = words.epoch(side);
                words.set_epoch(
                    side,
                    if closing {
                        epoch.closed()
                    } else {
                        epoch.next()
                    },
                );
                self.task = Task::Wake(side, closing);
            }
            Task::Wake(side, closing) => {
                words.wake_all(side);
                self.task = match (closing, side) {
                    (true, Side::Oob) => Task::Move(Side::Inband, true),
                    _ => Task::Done,
                };
            }
            Task::Withdraw(side, ticket) if words.epoch(side).fate(ticket) != Fate::Waiting => {
                self.end(match words.epoch(side).fate(ticket) {
                    Fate::Granted => Outcome::Entered,
                    _ => Outcome::Dead,
                });
            }
            Task::Arrive(_) | Task::Withdraw(..) | Task::Settle | Task::Close => match self.seen {
                None => self.seen = Some(words.load()),
                Some(seen) => self.decide(seen, queue, words),
            },
        }
        self.task != Task::Done
    }

    fn end(&mut self, outcome: Outcome) {
        self.outcome = outcome;
        self.task = Task::Done;
    }

    /// Replaces `seen` by `new`. Returns `false` if another thread has changed the gate: the
    /// operation must then decide again.
    fn write(&mut self, seen: Gate, new: Gate, words: &mut impl SharedWords) -> bool {
        if new == seen {
            return true;
        }
        match words.cas(seen, new) {
            Ok(()) => {
                self.seen = Some(new);
                true
            }
            Err(now) => {
                self.seen = Some(now);
                false
            }
        }
    }

    fn decide(&mut self, seen: Gate, queue: &mut Queue, words: &mut impl SharedWords) {
        match self.task {
            Task::Arrive(side) => match seen.enter(side) {
                Ok(new) => {
                    if self.write(seen, new, words) {
                        self.end(Outcome::Entered);
                    }
                }
                Err(Refusal::Dead) => self.end(Outcome::Dead),
                Err(Refusal::Full) => self.end(Outcome::Full),
                Err(Refusal::Busy) if queue.waiting(side) >= Gate::MAX => self.end(Outcome::Full),
                Err(Refusal::Busy) => {
                    if self.write(seen, seen.with_waiter(side), words) {
                        queue.set_waiting(side, queue.waiting(side).saturating_add(1));
                        self.outcome = Outcome::Wait(words.epoch(side));
                        self.task = Task::Settle;
                    }
                }
            },
            Task::Withdraw(side, _) => {
                let left = queue.waiting(side).saturating_sub(1);
                let new = match left {
                    0 => seen.without_waiter(side),
                    _ => seen,
                };
                if self.write(seen, new, words) {
                    queue.set_waiting(side, left);
                    self.outcome = Outcome::Withdrawn;
                    self.task = Task::Settle;
                }
            }
            Task::Settle => match queue.grant(seen) {
                None => self.task = Task::Done,
                Some((side, new)) => {
                    if self.write(seen, new, words) {
                        queue.set_waiting(side, 0);
                        self.task = Task::Move(side, false);
                    }
                }
            },
            Task::Close => {
                if self.write(seen, seen.dead(), words) {
                    *queue = Queue::new();
                    self.task = Task::Move(Side::Oob, true);
                }
            }
            Task::Move(..) | Task::Wake(..) | Task::Done => {}
        }
    }
}
