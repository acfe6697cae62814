// SPDX-License-Identifier: GPL-2.0-only

//! A latched event with one waiter: the protocol, in one word, and a mark beside it that a thread
//! waits.
//!
//! ```text
//!            raise                    raise: wake the waiter
//!   CLEAR ---------> RAISED <------------------------- waiter's number
//!     ^  ^             |                                  ^   |
//!     |  '-- wait -----'  (consumed)                      |   | deadline
//!     '------------------- wait: nothing raised ----------'   v
//!                                                           CLEAR
//! ```
//!
//! Rules:
//! - except for `raise`, only the waiter changes the word to or from its own number. So no wake-up
//!   is lost, and a waiter that gives up either takes its number back or finds the event;
//! - there is no lock, so any context may raise;
//! - the mark is set while a waiter is inside, even after `raise` has removed its number. So what
//!   the waiter sleeps with, a timer for example, has one user.

use crate::threads::Park;
use crate::time::Instant;
use crate::wait::WaitError;
#[cfg(not(loom))]
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
#[cfg(loom)]
use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

const CLEAR: usize = 0;
const RAISED: usize = 1;

/// The word and the mark.
#[derive(Debug)]
pub struct Latch {
    word: AtomicUsize,
    is_waited: AtomicBool,
}

impl Default for Latch {
    fn default() -> Self {
        Self::new()
    }
}

impl Latch {
    /// A latch that is not raised.
    #[cfg(not(loom))]
    pub const fn new() -> Self {
        Self {
            word: AtomicUsize::new(CLEAR),
            is_waited: AtomicBool::new(false),
        }
    }

    /// A latch that is not raised. Loom's atomics cannot be created in constants.
    #[cfg(loom)]
    pub fn new() -> Self {
        Self {
            word: AtomicUsize::new(CLEAR),
            is_waited: AtomicBool::new(false),
        }
    }

    /// Discards an event that no thread has waited for.
    #[inline]
    pub fn clear(&self) {
        let _ = self
            .word
            .compare_exchange(RAISED, CLEAR, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Latches the event and wakes the waiter.
    #[inline]
    pub fn raise(&self, park: &impl Park) {
        let waiter = || {
            let before = self.word.swap(RAISED, Ordering::AcqRel);
            (before > RAISED).then_some(before)
        };
        // SAFETY: the word holds a waiter's number only while that waiter is inside `wait_until`.
        // It leaves only after it has swapped its number out, or has seen that another swap did,
        // which is this one at the earliest.
        unsafe { park.wake(waiter) };
    }

    #[inline]
    fn take(&self) -> bool {
        self.word
            .compare_exchange(RAISED, CLEAR, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
    }

    /// Ends the wait: successfully if the event has come, else with `error`.
    #[inline]
    fn give_up(&self, error: WaitError) -> Result<(), WaitError> {
        match self.word.swap(CLEAR, Ordering::AcqRel) {
            RAISED => Ok(()),
            _ => Err(error),
        }
    }

    /// Waits for the event; see [`crate::wait::Flag::wait_until`].
    ///
    /// # Errors
    ///
    /// [`WaitError::TimedOut`]; [`WaitError::Interrupted`] if the thread was asked to stop;
    /// [`WaitError::Closed`] if another thread waits.
    #[inline]
    pub fn wait_until(&self, park: &impl Park, deadline: Instant) -> Result<(), WaitError> {
        if self.take() {
            return Ok(());
        }
        if self
            .is_waited
            .compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed)
            .is_err()
        {
            return Err(WaitError::Closed);
        }
        let result = self.wait_alone(park, deadline);
        self.is_waited.store(false, Ordering::Release);
        result
    }

    #[inline]
    fn wait_alone(&self, park: &impl Park, deadline: Instant) -> Result<(), WaitError> {
        let me = park.current();
        loop {
            park.prepare();
            match self
                .word
                .compare_exchange(CLEAR, me, Ordering::AcqRel, Ordering::Relaxed)
            {
                // From here on `raise` wakes this thread.
                Ok(_) => {}
                // The number is still there from the last turn.
                Err(before) if before == me => {}
                Err(_) => {
                    park.cancel();
                    if self.take() {
                        return Ok(());
                    }
                    // Another thread has discarded or taken the event.
                    continue;
                }
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
            // After a sleep there is nothing to cancel, and most likely the event has come.
            if park.sleep_until(deadline) {
                return self.give_up(WaitError::TimedOut);
            }
            if self.take() {
                return Ok(());
            }
        }
    }
}
