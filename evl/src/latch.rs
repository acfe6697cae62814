// SPDX-License-Identifier: GPL-2.0-only

//! The protocol of a latched event with one waiter, in one word.
//!
//! ```text
//!            raise                    raise: wake the waiter
//!   CLEAR ---------> RAISED <------------------------- waiter's address
//!     ^  ^             |                                  ^   |
//!     |  '-- wait -----'  (consumed)                      |   | deadline
//!     '------------------- wait: nothing raised ----------'   v
//!                                                           CLEAR
//! ```
//!
//! Rules: only the waiter moves the word to or from its own address, except for `raise`; so a wake-up is never lost, and a
//! waiter that gives up either takes its address back or finds the event. No lock, so any context may raise.

use crate::time::Instant;
use crate::wait::WaitError;
#[cfg(not(loom))]
use core::sync::atomic::{AtomicUsize, Ordering};
#[cfg(loom)]
use loom::sync::atomic::{AtomicUsize, Ordering};

const CLEAR: usize = 0;
const RAISED: usize = 1;

/// How a thread of some core sleeps.
pub trait Park {
    /// The calling thread: not 0, not 1, and valid for [`Self::wake`] at least until the thread has left `wait_until`.
    fn current(&self) -> usize;

    /// From here on a wake-up of the calling thread makes the next [`Self::sleep_until`] return at once.
    fn prepare(&self);

    /// Ends what [`Self::prepare`] began without sleeping.
    fn cancel(&self);

    /// Sleeps until woken or `date`; may return early. True only where `date` has passed.
    fn sleep_until(&self, date: Instant) -> bool;

    /// The date now.
    fn now(&self) -> Instant;

    /// Whether the calling thread is one of a core's own that was asked to stop: that ends every wait.
    fn is_stopped(&self) -> bool {
        false
    }

    /// Calls `f`, which gives the thread to wake, if any, and wakes it. Holds off the end of threads meanwhile.
    fn wake(&self, f: impl FnOnce() -> Option<usize>);
}

/// The word.
#[derive(Debug)]
pub struct Latch(AtomicUsize);

impl Default for Latch {
    fn default() -> Self {
        Self::new()
    }
}

impl Latch {
    /// Not raised.
    #[cfg(not(loom))]
    pub const fn new() -> Self {
        Self(AtomicUsize::new(CLEAR))
    }

    /// Not raised. Loom's atomics cannot be made in constants.
    #[cfg(loom)]
    pub fn new() -> Self {
        Self(AtomicUsize::new(CLEAR))
    }

    /// Forgets an event that nobody waited for.
    #[inline]
    pub fn clear(&self) {
        let _ = self
            .0
            .compare_exchange(RAISED, CLEAR, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Latches the event and wakes the waiter.
    #[inline]
    pub fn raise(&self, park: &impl Park) {
        park.wake(|| {
            let before = self.0.swap(RAISED, Ordering::AcqRel);
            (before > RAISED).then_some(before)
        });
    }

    #[inline]
    fn take(&self) -> bool {
        self.0
            .compare_exchange(RAISED, CLEAR, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
    }

    /// The waiter goes, with the event if it has come.
    #[inline]
    fn give_up(&self, error: WaitError) -> Result<(), WaitError> {
        match self.0.swap(CLEAR, Ordering::AcqRel) {
            RAISED => Ok(()),
            _ => Err(error),
        }
    }

    /// Waits for the event; see [`crate::wait::Flag::wait_until`].
    ///
    /// # Errors
    ///
    /// [`WaitError::TimedOut`]; [`WaitError::Interrupted`] where the thread was asked to stop.
    #[inline]
    pub fn wait_until(&self, park: &impl Park, deadline: Instant) -> Result<(), WaitError> {
        let me = park.current();
        if self.take() {
            return Ok(());
        }
        loop {
            park.prepare();
            // A failure means that the event is there, or that the address is still there from the last turn.
            let _ = self
                .0
                .compare_exchange(CLEAR, me, Ordering::AcqRel, Ordering::Relaxed);
            if self.take() {
                park.cancel();
                return Ok(());
            }
            let over = match park.is_stopped() {
                true => Some(WaitError::Interrupted),
                false => (deadline != Instant::NEVER && park.now() >= deadline)
                    .then_some(WaitError::TimedOut),
            };
            if let Some(error) = over {
                park.cancel();
                return self.give_up(error);
            }
            // Awake, there is nothing to cancel, and most likely no more sleep to prepare.
            if park.sleep_until(deadline) {
                return self.give_up(WaitError::TimedOut);
            }
            if self.take() {
                return Ok(());
            }
        }
    }
}
