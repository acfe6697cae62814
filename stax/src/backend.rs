// SPDX-License-Identifier: GPL-2.0-only

//! The backend: what a core supplies to the lock. That is the queue lock, sleeping and waking.
//!
//! ```text
//!   with_queue( decide; epoch moves; wake_all(side) )        any thread of either stage
//!                           |            |
//!   sleep(ready, deadline): '-- ready? --'--> returns        a thread of `side`
//! ```
//!
//! Lock order: the queue lock comes first; `wake_all` may take other locks inside it. `ready` takes
//! no lock.

use crate::queue::Queue;
use crate::stage::{Side, Stage};
use oob::time::{Clock, Instant};

/// Why a sleep ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The thread was woken. `ready` may still be false: the caller checks again and sleeps once
    /// more.
    Woken,
    /// The deadline has passed.
    TimedOut,
    /// A signal (in-band) or a forced unblock (oob) came first.
    Interrupted,
}

/// The part of a core that does not depend on the caller's stage.
pub trait Backend {
    /// Calls `f` with exclusive access to the queue.
    ///
    /// Called from either stage, never nested. The core should use a hard spinlock, so that neither
    /// interrupts nor the other stage preempt the holder. The time that `f` takes is bounded,
    /// except for the number of sleepers that it wakes.
    fn with_queue<R>(&self, f: impl FnOnce(&mut Queue) -> R) -> R;

    /// Ends every sleep of the threads of `side` that has begun.
    ///
    /// Called from either stage, inside [`Self::with_queue`], so with interrupts off; the
    /// implementation must not call the lock. What the sleepers' `ready` reads has changed before.
    /// A core that must reschedule after a wake-up does so at the end of `with_queue`. For a side
    /// whose threads spin there is nothing to do.
    fn wake_all(&self, side: Side);
}

/// How threads with a token of type `S` wait.
///
/// A core implements this for the tokens that its lock serves. Waiting with any other token does
/// not compile.
pub trait Sleep<S: Stage>: Backend {
    /// Sleeps until `ready` returns true, `deadline` passes, or the thread is interrupted.
    /// [`Instant::NEVER`] never passes.
    ///
    /// No wake-up is lost: a [`Backend::wake_all`] for the stage's side after `ready` has returned
    /// false ends the sleep, even if it comes before the thread sleeps. `ready` takes no lock, so
    /// it may be called with any lock held. The caller checks its state after every result, so the
    /// result need not be exact if several reasons coincide.
    fn sleep(&self, stage: &S, deadline: Instant, ready: impl Fn() -> bool) -> End;
}

/// [`Sleep::sleep`] for an [`Atomic`](crate::Atomic) caller, which cannot sleep: spins.
///
/// Nothing interrupts it. It ends when the other stage leaves, or at the deadline. So a caller
/// without a deadline must not spin on a processor that the thread inside needs.
pub fn spin(clock: &impl Clock, deadline: Instant, ready: impl Fn() -> bool) -> End {
    while !ready() {
        if deadline != Instant::NEVER && clock.now() >= deadline {
            return End::TimedOut;
        }
        clock.relax();
    }
    End::Woken
}
