// SPDX-License-Identifier: GPL-2.0-only

//! Waiting for an event that latches.

use crate::stage::Oob;
use crate::time::Instant;

/// Why a wait ended without its event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitError {
    /// The deadline passed first.
    TimedOut,
    /// A signal came first, or the thread was forced out of the wait.
    Interrupted,
    /// What was waited for is gone, or another thread has it.
    Closed,
}

/// A latched event with one waiter.
///
/// `raise` before `wait_until` is not lost: the wait then returns at once. A successful wait consumes the latch.
///
/// To see to it that no second thread waits meanwhile is the user's task. One that does so nevertheless gets the event, if it
/// is latched, or an error at once: so it must not just wait again. The first one's wait and deadline stay as they are. Only
/// EVL's own flag lets both wait.
pub trait Flag {
    /// Forgets an event that was raised and not waited for.
    fn clear(&self);

    /// Latches the event and wakes the waiter. Callable from any context, hard interrupts included.
    fn raise(&self);

    /// Sleeps until the event is latched or `deadline` passes; consumes the latch.
    ///
    /// # Errors
    ///
    /// [`WaitError::TimedOut`] once `deadline` has passed and the event is not latched. An event that is latched wins
    /// over a deadline that has passed. Signals do not end the wait, but a request that the thread stop does, with
    /// [`WaitError::Interrupted`], and so does a kill on EVL where there is no deadline. [`WaitError::Closed`], at once, where
    /// another thread waits.
    fn wait_until(&self, oob: &Oob<'_>, deadline: Instant) -> Result<(), WaitError>;
}

impl<T: Flag + ?Sized> Flag for &T {
    fn clear(&self) {
        (**self).clear();
    }

    fn raise(&self) {
        (**self).raise();
    }

    fn wait_until(&self, oob: &Oob<'_>, deadline: Instant) -> Result<(), WaitError> {
        (**self).wait_until(oob, deadline)
    }
}
