// SPDX-License-Identifier: GPL-2.0-only

//! The protocol of a latched event with one waiter, in one word, and a mark beside it that there is
//! one.
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
//! Rules: only the waiter moves the word to or from its own address, except for `raise`; so a
//! wake-up is never lost, and a waiter that gives up either takes its address back or finds the
//! event. No lock, so any context may raise. The mark is there as long as the waiter is inside, so
//! also when its address is not any more: what it sleeps by, a timer for one, is its own.

use crate::threads::Park;
use crate::time::Instant;
use crate::wait::WaitError;
#[cfg(not(loom))]
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
#[cfg(loom)]
use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

const CLEAR: usize = 0;
const RAISED: usize = 1;

/// The word, and the mark.
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
    /// Not raised.
    #[cfg(not(loom))]
    pub const fn new() -> Self {
        Self {
            word: AtomicUsize::new(CLEAR),
            is_waited: AtomicBool::new(false),
        }
    }

    /// Not raised. Loom's atomics cannot be made in constants.
    #[cfg(loom)]
    pub fn new() -> Self {
        Self {
            word: AtomicUsize::new(CLEAR),
            is_waited: AtomicBool::new(false),
        }
    }

    /// Forgets an event that nobody waited for.
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
        // SAFETY: a waiter's `current` is in the word only while the waiter is inside `wait_until`:
        // it leaves with the word swapped, or having seen that another swap took it out, this one
        // at the earliest.
        unsafe { park.wake(waiter) };
    }

    #[inline]
    fn take(&self) -> bool {
        self.word
            .compare_exchange(RAISED, CLEAR, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
    }

    /// The waiter goes, with the event if it has come.
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
    /// [`WaitError::TimedOut`]; [`WaitError::Interrupted`] where the thread was asked to stop;
    /// [`WaitError::Closed`] where another one waits.
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
                // From here on `raise` wakes.
                Ok(_) => {}
                // It is still there from the last turn.
                Err(before) if before == me => {}
                Err(_) => {
                    park.cancel();
                    if self.take() {
                        return Ok(());
                    }
                    // Somebody else has forgotten or taken the event.
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
