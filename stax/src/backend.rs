// SPDX-License-Identifier: GPL-2.0-only

//! What a core supplies: the queue lock, sleeping, waking.
//!
//! ```text
//!   with_queue( decide; epoch moves; wake_all(side) )        any thread of either stage
//!                           |            |
//!   sleep(ready, deadline): '-- ready? --'--> returns        a thread of `side`
//! ```
//!
//! Order of locks: the queue lock first, whatever `wake_all` takes inside it. `ready` takes
//! nothing.

use crate::queue::Queue;
use crate::stage::{Side, Stage};
use oob::time::{Clock, Instant};

/// Why a sleep ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// `ready` is true, or there is reason to look again, or none at all: a spurious wake-up costs
    /// one more sleep.
    Woken,
    /// The deadline has passed.
    TimedOut,
    /// A signal (in-band) or a forced unblock (oob).
    Interrupted,
}

/// The part of a core that does not depend on who calls.
pub trait Backend {
    /// Runs `f` on the queue, alone.
    ///
    /// Called from either stage, never nested. Wanted is a hard spinlock: whoever holds it is
    /// preempted neither by interrupts nor by the other stage. What `f` does is bounded, but for
    /// the number of sleepers that it wakes.
    fn with_queue<R>(&self, f: impl FnOnce(&mut Queue) -> R) -> R;

    /// Ends every sleep of a thread of `side` that has begun.
    ///
    /// Called from either stage, inside [`Self::with_queue`], after what their `ready` reads has
    /// changed: so with interrupts off, and no call of the lock from here. Where waking wants a
    /// scheduling afterwards, the end of `with_queue` is the place for it. Nothing to do for a side
    /// whose threads spin.
    fn wake_all(&self, side: Side);
}

/// How threads that hold a token of type `S` wait.
///
/// A core implements this for those tokens that its lock serves; waiting with another one does not
/// compile.
pub trait Sleep<S: Stage>: Backend {
    /// Sleeps until `ready` gives true, `deadline` passes, or the thread is interrupted;
    /// [`Instant::NEVER`] does not pass.
    ///
    /// No wake-up is lost: a [`Backend::wake_all`] for the stage's side that comes after `ready`
    /// gave false ends the sleep, also when it comes before the thread really sleeps. `ready` takes
    /// no lock and may be called with any held. The caller looks again whatever the result, so that
    /// it need not be exact where several reasons meet.
    fn sleep(&self, stage: &S, deadline: Instant, ready: impl Fn() -> bool) -> End;
}

/// A sleep for contexts that cannot: [`Sleep::sleep`] with an [`Atomic`](crate::Atomic).
///
/// Not to be interrupted. Ends when the other stage lets go or at the deadline, so without one the
/// thread inside must not need this processor.
pub fn spin(clock: &impl Clock, deadline: Instant, ready: impl Fn() -> bool) -> End {
    while !ready() {
        if deadline != Instant::NEVER && clock.now() >= deadline {
            return End::TimedOut;
        }
        clock.relax();
    }
    End::Woken
}
