// SPDX-License-Identifier: GPL-2.0-only

//! Waiting: a latched event with one waiter, and a queue of waiters.

use crate::record::Wait;
use crate::stage::{MayWait, Oob};
use crate::time::Instant;

/// Why a wait ended without its event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitError {
    /// The deadline passed first.
    TimedOut,
    /// A signal came first, or the thread was forced out of the wait.
    Interrupted,
    /// The event's source is gone, or another thread waits for it already.
    Closed,
}

/// A latched event with one waiter.
///
/// A `raise` before `wait_until` is not lost: the wait then returns at once. A successful wait
/// consumes the event.
///
/// Callers must make sure that only one thread waits. A second waiter gets the event if it is
/// latched, else an error at once, so it must not simply wait again. The first waiter's wait and
/// deadline stay as they are. Only EVL's own flag lets both wait.
pub trait Flag {
    /// Discards an event that was raised and not waited for.
    fn clear(&self);

    /// Latches the event and wakes the waiter. Callable from any context, hard interrupts included.
    fn raise(&self);

    /// Sleeps until the event is latched or `deadline` passes; consumes the event.
    ///
    /// An event that is latched wins over a deadline that has passed. Signals do not end the wait.
    ///
    /// # Errors
    ///
    /// - [`WaitError::TimedOut`]: `deadline` has passed and the event is not latched.
    /// - [`WaitError::Interrupted`]: the thread was asked to stop; on EVL also, without a deadline,
    ///   it was killed.
    /// - [`WaitError::Closed`]: another thread waits. Returned at once.
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

/// A queue of threads of either stage that wait for a condition outside it: a core's monitor
/// without a value.
pub trait WaitQueue {
    /// Waits until `ready` returns true. `ready` takes no lock. The thread's record shows `what`.
    ///
    /// # Errors
    ///
    /// As for [`crate::monitor::Monitor::wait_until`].
    fn wait(
        &self,
        what: Wait,
        stage: &impl MayWait,
        deadline: Instant,
        ready: impl Fn() -> bool,
    ) -> Result<(), WaitError>;

    /// Makes all waiters check their condition again. Callable from any context.
    fn wake_all(&self);
}
