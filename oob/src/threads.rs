// SPDX-License-Identifier: GPL-2.0-only

//! How the threads of a core sleep and are woken: what each core implements for the services above
//! it.
//!
//! ```text
//!   waiter:  current, prepare --> looks at its condition --> sleep_until or cancel
//!                       |                                          ^
//!   waker:              '-- a wake from here on is not lost -------'
//! ```

use crate::time::Instant;
use crate::wait::WaitError;

/// How a thread sleeps and is woken.
///
/// # Safety
///
/// [`Self::wake`] accepts the numbers that [`Self::current`] returns, and so does the `wake` of
/// every other implementation in the program, as long as the thread is inside the wait for which it
/// called `current` when the closure of `wake` runs. The thread may leave that wait, and end, as
/// soon as the closure has returned.
pub unsafe trait Park {
    /// The number of the calling thread: neither 0 nor 1.
    fn current(&self) -> usize;

    /// Starts a wait: a wake-up of the calling thread from here on makes the next
    /// [`Self::sleep_until`] return at once.
    fn prepare(&self);

    /// Ends, without sleeping, the wait that [`Self::prepare`] started.
    fn cancel(&self);

    /// Sleeps until the thread is woken or `date` passes; may return early. Returns true only if
    /// `date` has passed.
    fn sleep_until(&self, date: Instant) -> bool;

    /// The date now.
    fn now(&self) -> Instant;

    /// Whether the calling thread is a kernel thread of the kit that was asked to stop. Such a
    /// request ends every wait.
    fn is_stopped(&self) -> bool {
        false
    }

    /// Calls `f`, which returns the thread to wake, if any, and wakes it. No thread can end in
    /// between.
    ///
    /// # Safety
    ///
    /// `f` returns a number that [`Self::current`], of any implementation, gave to a thread. When
    /// `f` is called that thread is still inside the wait for which it called `current`.
    unsafe fn wake(&self, f: impl FnOnce() -> Option<usize>);
}

/// A thread in a queue of waiters: its priority, and what else ends its wait.
///
/// # Safety
///
/// [`Self::wake_waiter`] accepts the numbers that [`Park::current`] returns, and so does that of
/// every other implementation in the program, as long as the thread is in a queue and the caller
/// holds that queue's lock.
pub unsafe trait Threads: Park {
    /// The calling thread's priority; a higher number goes first.
    fn priority(&self) -> i32;

    /// As [`Park::prepare`]; in addition, a signal that ends waits counts as a wake-up.
    fn prepare_interruptible(&self);

    /// Whether the calling thread has such a signal.
    fn is_interrupted(&self) -> bool;

    /// Wakes a thread that is in a queue. The caller holds the queue's lock, so the thread cannot
    /// end meanwhile.
    ///
    /// # Safety
    ///
    /// `thread` is the number that [`Park::current`], of any implementation, gave the thread for
    /// this wait. The thread is in a queue whose lock the caller holds.
    unsafe fn wake_waiter(&self, thread: usize) {
        // SAFETY: the thread is in a queue whose lock the caller holds. It must take that lock to
        // leave its wait, so it is inside its wait while the closure runs.
        unsafe { self.wake(|| Some(thread)) };
    }
}

/// Sleeps until `date`, in no queue.
///
/// # Errors
///
/// [`WaitError::Interrupted`].
pub fn sleep_until(threads: &impl Threads, date: Instant) -> Result<(), WaitError> {
    loop {
        threads.prepare_interruptible();
        let result = match threads.is_interrupted() {
            true => Err(WaitError::Interrupted),
            false if threads.now() >= date => Ok(()),
            false => {
                threads.sleep_until(date);
                continue;
            }
        };
        threads.cancel();
        return result;
    }
}
