// SPDX-License-Identifier: GPL-2.0-only

//! A monitor: a value under a hard lock, and the threads that wait for a condition on it.
//!
//! ```text
//!   wait_until(deadline, ready)                        update(f), then wake_first or wake_all
//!        |                                                    |
//!        |   not ready: queued, highest priority first,       |   dequeued, woken;
//!        v   equal priorities in the order of arrival         v   checks again
//!      +------------------------- hard lock ------------------------+
//!      |  value  |  waiter -> waiter -> ...   (on their own stacks) |
//!      +-----------------------------------------------------------+
//! ```
//!
//! Rules:
//! 1. A waiter sleeps and checks again. A wake-up hands nothing over: another thread may come first
//!    between the wake-up and the check, and then the waiter goes back into the queue.
//! 2. A waiter that leaves, for any reason, checks the value last. So a woken waiter takes what it
//!    was woken for, even if its deadline passed or a signal came meanwhile, and the wake-up is not
//!    lost.
//! 3. A waiter is in the queue only while it is inside [`Monitor::wait_until`], and leaves the
//!    queue under the lock. So code that holds the lock may touch a waiter in the queue and wake
//!    its thread.
//! 4. Deadlines are absolute, so a spurious wake-up gives a thread no more time.

use crate::lock::HardLock;
use crate::record::Wait;
use crate::stage::MayWait;
use crate::threads::Threads;
use crate::time::Instant;
use crate::wait::WaitError;
use core::fmt;
use core::mem;
use core::ptr;

struct WaitEntry {
    thread: usize,
    priority: i32,
    is_queued: bool,
    next: *mut WaitEntry,
}

/// A monitor's value and its queue: the content of its hard lock.
pub struct MonitorState<T> {
    value: T,
    first: *mut WaitEntry,
    is_closed: bool,
}

// SAFETY: the pointers lead to waiters that code touches only with the lock held, on any thread
// (rule 3); the value is Send.
unsafe impl<T: Send> Send for MonitorState<T> {}

impl<T: fmt::Debug> fmt::Debug for MonitorState<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MonitorState")
            .field("value", &self.value)
            .field("is_closed", &self.is_closed)
            .finish_non_exhaustive()
    }
}

impl<T> MonitorState<T> {
    /// A value without waiters, for a new hard lock.
    pub const fn new(value: T) -> Self {
        Self {
            value,
            first: ptr::null_mut(),
            is_closed: false,
        }
    }

    /// The first link to a waiter for which `wanted` returns true, or else the last link, which is
    /// null.
    fn find(&mut self, wanted: impl Fn(&WaitEntry) -> bool) -> *mut *mut WaitEntry {
        let mut link = &raw mut self.first;
        loop {
            // SAFETY: `link` is `first` or the `next` of a queued waiter, and `&mut self` proves
            // that the lock is held.
            let waiter = unsafe { link.read() };
            // SAFETY: a link is null or leads to a queued waiter, which is valid while the lock is
            // held (rule 3).
            match unsafe { waiter.as_mut() } {
                Some(waiter) if !wanted(waiter) => link = &raw mut waiter.next,
                _ => return link,
            }
        }
    }

    /// Queues a waiter, unless it is queued.
    ///
    /// # Safety
    ///
    /// The waiter is valid, stays in place while it is queued, and leaves the queue before its
    /// memory goes away.
    unsafe fn enter(&mut self, waiter: *mut WaitEntry) {
        // SAFETY: the waiter is valid, by contract, and no other code touches it while the lock is
        // held.
        let waiter = unsafe { &mut *waiter };
        if !waiter.is_queued {
            let priority = waiter.priority;
            let link = self.find(|other| other.priority < priority);
            waiter.is_queued = true;
            // SAFETY: `find` returns a link of the queue, whose lock is held.
            waiter.next = unsafe { link.replace(waiter) };
        }
    }

    /// Dequeues a waiter, if it is queued.
    ///
    /// # Safety
    ///
    /// The waiter is valid.
    unsafe fn leave(&mut self, waiter: *mut WaitEntry) {
        // SAFETY: the waiter is valid, by contract, and no other code touches it while the lock is
        // held.
        if !unsafe { (*waiter).is_queued } {
            return;
        }
        let link = self.find(|other| ptr::eq(other, waiter));
        // SAFETY: `find` returns a link of the queue, whose lock is held.
        let found = unsafe { link.read() };
        // SAFETY: a link is null or leads to a queued waiter, which is valid while the lock is held
        // (rule 3).
        if let Some(found) = unsafe { found.as_mut() } {
            found.is_queued = false;
            // SAFETY: `find` returned the link, and the queue has not changed since.
            unsafe { link.write(found.next) };
        }
    }

    fn pop(&mut self) -> Option<usize> {
        // SAFETY: `first` is null or leads to a queued waiter, which is valid while the lock is
        // held (rule 3).
        let waiter = unsafe { self.first.as_mut() }?;
        self.first = waiter.next;
        waiter.is_queued = false;
        Some(waiter.thread)
    }
}

/// Calls the function when it is dropped; the normal path forgets it.
struct OnPanic<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnPanic<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// A monitor; see the module's documentation.
pub struct Monitor<L>(L);

impl<L> Monitor<L> {
    /// A monitor over a hard lock that holds a [`MonitorState`].
    pub const fn new(lock: L) -> Self {
        Self(lock)
    }

    /// Waits until `ready`, called under the lock, returns a value.
    ///
    /// # Errors
    ///
    /// See [`WaitError`]. `ready` then returned `None`, the last time just before the error.
    pub fn wait_until<T, R>(
        &self,
        stage: &impl MayWait,
        threads: &impl Threads,
        deadline: Instant,
        ready: impl FnMut(&mut T) -> Option<R>,
    ) -> Result<R, WaitError>
    where
        L: HardLock<MonitorState<T>>,
    {
        self.wait_for(Wait::Monitor, stage, threads, deadline, ready)
    }

    /// [`Self::wait_until`] for services that build on a monitor: the thread's record shows `what`.
    ///
    /// # Errors
    ///
    /// As for [`Self::wait_until`].
    pub fn wait_for<T, R>(
        &self,
        what: Wait,
        stage: &impl MayWait,
        threads: &impl Threads,
        deadline: Instant,
        mut ready: impl FnMut(&mut T) -> Option<R>,
    ) -> Result<R, WaitError>
    where
        L: HardLock<MonitorState<T>>,
    {
        if let Some(result) = self.update(&mut ready) {
            return Ok(result);
        }
        let _recorded = stage.waits_for(what);
        let mut waiter = WaitEntry {
            thread: threads.current(),
            priority: threads.priority(),
            is_queued: false,
            next: ptr::null_mut(),
        };
        let waiter = &raw mut waiter;
        // A process may survive a panic of `ready`. A module does not, and the compiler removes
        // this there.
        let leaves = OnPanic(|| {
            // SAFETY: the waiter lies in this function's frame, which still exists while it
            // unwinds.
            self.0.with(|state| unsafe { state.leave(waiter) });
        });
        loop {
            threads.prepare_interruptible();
            let is_over = deadline != Instant::NEVER && threads.now() >= deadline;
            let is_interrupted = threads.is_interrupted();
            let look = self.0.with(|state| {
                let result = match ready(&mut state.value) {
                    Some(result) => Ok(result),
                    None if state.is_closed => Err(WaitError::Closed),
                    None if is_interrupted => Err(WaitError::Interrupted),
                    None if is_over => Err(WaitError::TimedOut),
                    None => {
                        // SAFETY: the waiter lies in this function's frame. Every way out of the
                        // loop dequeues it, by `leave` below or by `leaves`.
                        unsafe { state.enter(waiter) };
                        return None;
                    }
                };
                // SAFETY: the waiter lies in this function's frame.
                unsafe { state.leave(waiter) };
                Some(result)
            });
            if let Some(result) = look {
                mem::forget(leaves);
                threads.cancel();
                return result;
            }
            threads.sleep_until(deadline);
            // Most likely the condition holds now: check before the next sleep is prepared.
            let look = self.0.with(|state| {
                let result = ready(&mut state.value)?;
                // SAFETY: the waiter lies in this function's frame.
                unsafe { state.leave(waiter) };
                Some(result)
            });
            if let Some(result) = look {
                mem::forget(leaves);
                return Ok(result);
            }
        }
    }

    /// Reads or changes the value and wakes no thread. Callable from any context; `f` must not
    /// sleep.
    pub fn update<T, R>(&self, f: impl FnOnce(&mut T) -> R) -> R
    where
        L: HardLock<MonitorState<T>>,
    {
        self.0.with(|state| f(&mut state.value))
    }

    /// Changes the value and wakes the first waiter. Callable from any context. For values where
    /// any one waiter can take what a change brought.
    pub fn update_and_wake_first<T, R>(
        &self,
        threads: &impl Threads,
        f: impl FnOnce(&mut T) -> R,
    ) -> R
    where
        L: HardLock<MonitorState<T>>,
    {
        self.change(threads, 1, |state| f(&mut state.value))
    }

    /// Changes the value and wakes all waiters. Callable from any context.
    pub fn update_and_wake_all<T, R>(
        &self,
        threads: &impl Threads,
        f: impl FnOnce(&mut T) -> R,
    ) -> R
    where
        L: HardLock<MonitorState<T>>,
    {
        self.change(threads, usize::MAX, |state| f(&mut state.value))
    }

    /// Closes the monitor: present and later waits end with [`WaitError::Closed`] instead of
    /// sleeping.
    pub fn close<T>(&self, threads: &impl Threads)
    where
        L: HardLock<MonitorState<T>>,
    {
        self.change(threads, usize::MAX, |state| state.is_closed = true);
    }

    /// Calls `f`, then wakes up to `most` threads from the head of the queue.
    fn change<T, R>(
        &self,
        threads: &impl Threads,
        most: usize,
        f: impl FnOnce(&mut MonitorState<T>) -> R,
    ) -> R
    where
        L: HardLock<MonitorState<T>>,
    {
        self.0.with(|state| {
            let result = f(state);
            for _ in 0..most {
                let Some(thread) = state.pop() else { break };
                // SAFETY: the thread was in this queue, whose lock is held, so it cannot leave its
                // wait; `thread` is what `current` gave it for this wait.
                unsafe { threads.wake_waiter(thread) };
            }
            result
        })
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
