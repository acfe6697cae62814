// SPDX-License-Identifier: GPL-2.0-only

//! A value under a hard lock, and the threads that wait until it suits them.
//!
//! ```text
//!   wait_until(deadline, ready)                        update(f), then wake_first or wake_all
//!        |                                                    |
//!        |   not ready: in line, highest priority first,      |   out of line, woken;
//!        v   among equals the one that came first             v   looks again
//!      +------------------------- hard lock ------------------------+
//!      |  value  |  waiter -> waiter -> ...   (on their own stacks) |
//!      +-----------------------------------------------------------+
//! ```
//!
//! Rules:
//! 1. Sleep and look again. Nothing is handed to a waiter: between its wake-up and its next look another thread may come
//!    first, and then it goes back into the line.
//! 2. A waiter that leaves, for whatever reason, looks at the value last. So whoever was woken takes what it was woken for,
//!    even where its deadline or a signal came meanwhile, and no wake-up is lost with it.
//! 3. A waiter is in the line only while it is inside [`Monitor::wait_until`], and goes out of it under the lock: whoever
//!    finds it there, holding the lock, may touch it and wake its thread.
//! 4. Deadlines are dates, so a wake-up for nothing never gives a thread more time.

use crate::latch::Park;
use crate::record::Wait;
use crate::stage::MayWait;
use crate::time::Instant;
use crate::wait::WaitError;
use core::fmt;
use core::mem;
use core::ptr;

/// How a thread of some core is told apart from others in a line, and disturbed.
///
/// # Safety
///
/// [`Self::wake_waiter`], of this and of every other implementation in the program, takes what [`Park::current`] gives, as
/// long as the thread that called it stands in a line whose lock is held.
pub unsafe trait Threads: Park {
    /// The calling thread's priority; the higher one goes first.
    fn priority(&self) -> i32;

    /// As [`Park::prepare`], and a signal that ends waits counts as a wake-up, too.
    fn prepare_interruptible(&self);

    /// Whether the calling thread has such a signal.
    fn is_interrupted(&self) -> bool;

    /// Wakes a thread that stands in a line whose lock is held: so it cannot end meanwhile.
    ///
    /// # Safety
    ///
    /// That is so, and `thread` is what [`Park::current`], of any implementation, gave that thread for this wait.
    unsafe fn wake_waiter(&self, thread: usize) {
        // SAFETY: by contract; it cannot leave its wait.
        unsafe { self.wake(|| Some(thread)) };
    }
}

/// Sleeps until `date`, in no line.
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

/// A lock that may be taken in any context, hard interrupts included, and is never held for long. Nothing may sleep under it,
/// which a token that a closure has from outside would let it.
///
/// # Safety
///
/// Every call of [`Self::with`] gives access to one value, the same one as long as the lock lives, wherever that is moved; and
/// exclusively: no other call, no other lock and nothing else reaches the value meanwhile, nor in between once the lock has
/// been handed to what is built on it.
pub unsafe trait HardLock<T> {
    /// Calls `f` with the lock held.
    fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R;
}

/// A line of threads that wait for something outside of it: a core's monitor with nothing in it.
pub trait WaitQueue {
    /// Waits until `ready`, which takes no lock; the thread's record shows `what`.
    ///
    /// # Errors
    ///
    /// As for [`Monitor::wait_until`].
    fn wait(
        &self,
        what: Wait,
        stage: &impl MayWait,
        deadline: Instant,
        ready: impl Fn() -> bool,
    ) -> Result<(), WaitError>;

    /// Has all who wait look again, in any context.
    fn wake_all(&self);
}

struct WaitEntry {
    thread: usize,
    priority: i32,
    in_line: bool,
    next: *mut WaitEntry,
}

/// What the hard lock guards.
pub struct MonitorState<T> {
    value: T,
    first: *mut WaitEntry,
    is_closed: bool,
}

// SAFETY: the waiters are touched under the lock only, wherever it is taken; see rule 3.
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
    /// A value that nobody waits for yet; for a lock to be made of.
    pub const fn new(value: T) -> Self {
        Self {
            value,
            first: ptr::null_mut(),
            is_closed: false,
        }
    }

    /// The first link whose waiter is `wanted`, or the last link, whose waiter is null.
    fn find(&mut self, wanted: impl Fn(&WaitEntry) -> bool) -> *mut *mut WaitEntry {
        let mut link = &raw mut self.first;
        loop {
            // SAFETY: a link of the line, under the lock.
            let waiter = unsafe { link.read() };
            // SAFETY: whoever is in the line is valid, under the lock.
            match unsafe { waiter.as_mut() } {
                Some(waiter) if !wanted(waiter) => link = &raw mut waiter.next,
                _ => return link,
            }
        }
    }

    /// Puts a waiter into the line, unless it is there.
    ///
    /// # Safety
    ///
    /// The waiter is valid, stays where it is while it is in the line, and leaves before it ends.
    unsafe fn enter(&mut self, waiter: *mut WaitEntry) {
        // SAFETY: by contract; under the lock nobody else touches it.
        let waiter = unsafe { &mut *waiter };
        if !waiter.in_line {
            let priority = waiter.priority;
            let link = self.find(|other| other.priority < priority);
            waiter.in_line = true;
            // SAFETY: a link of the line, under the lock.
            waiter.next = unsafe { link.replace(waiter) };
        }
    }

    /// Takes a waiter out of the line, if it is there.
    ///
    /// # Safety
    ///
    /// The waiter is valid.
    unsafe fn leave(&mut self, waiter: *mut WaitEntry) {
        // SAFETY: by contract; under the lock nobody else touches it.
        if !unsafe { (*waiter).in_line } {
            return;
        }
        let link = self.find(|other| ptr::eq(other, waiter));
        // SAFETY: a link of the line, under the lock.
        let found = unsafe { link.read() };
        // SAFETY: whoever is in the line is valid, under the lock.
        if let Some(found) = unsafe { found.as_mut() } {
            found.in_line = false;
            // SAFETY: as for the read.
            unsafe { link.write(found.next) };
        }
    }

    fn pop(&mut self) -> Option<usize> {
        // SAFETY: whoever is in the line is valid, under the lock.
        let waiter = unsafe { self.first.as_mut() }?;
        self.first = waiter.next;
        waiter.in_line = false;
        Some(waiter.thread)
    }
}

/// Calls the function unless it is forgotten.
struct OnPanic<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnPanic<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// See the module.
pub struct Monitor<L>(L);

impl<L> Monitor<L> {
    /// Of a lock round a [`MonitorState`].
    pub const fn new(lock: L) -> Self {
        Self(lock)
    }

    /// Waits until `ready`, called under the lock, gives something.
    ///
    /// # Errors
    ///
    /// See [`WaitError`]; `ready` gave nothing then, the last time just before.
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

    /// [`Self::wait_until`] for what is built on a monitor: the thread's record shows `what`.
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
            in_line: false,
            next: ptr::null_mut(),
        };
        let waiter = &raw mut waiter;
        // A process may outlive a `ready` that panics; in a module nothing does, and nothing is left of this.
        let leaves = OnPanic(|| {
            // SAFETY: it is in the frame that is being left.
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
                        // SAFETY: every way out of this loop goes through `leave`, below or by `leaves`.
                        unsafe { state.enter(waiter) };
                        return None;
                    }
                };
                // SAFETY: it is in this very frame.
                unsafe { state.leave(waiter) };
                Some(result)
            });
            if let Some(result) = look {
                mem::forget(leaves);
                threads.cancel();
                return result;
            }
            threads.sleep_until(deadline);
            // Most likely woken for what is there now: then no sleep is prepared for nothing.
            let look = self.0.with(|state| {
                let result = ready(&mut state.value)?;
                // SAFETY: it is in this very frame.
                unsafe { state.leave(waiter) };
                Some(result)
            });
            if let Some(result) = look {
                mem::forget(leaves);
                return Ok(result);
            }
        }
    }

    /// Looks at the value and changes it, in any context; `f` does not sleep. Wakes nobody.
    pub fn update<T, R>(&self, f: impl FnOnce(&mut T) -> R) -> R
    where
        L: HardLock<MonitorState<T>>,
    {
        self.0.with(|state| f(&mut state.value))
    }

    /// Changes the value and wakes who is first in the line, in any context. For values of which any waiter can take
    /// what one change brought.
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

    /// Changes the value and wakes all, in any context.
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

    /// Ends all waits, those to come too, with [`WaitError::Closed`] wherever they would sleep.
    pub fn close<T>(&self, threads: &impl Threads)
    where
        L: HardLock<MonitorState<T>>,
    {
        self.change(threads, usize::MAX, |state| state.is_closed = true);
    }

    /// Does `f`, then wakes up to `most` threads from the head of the line.
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
                // SAFETY: it stood in this line, whose lock is held, so it cannot leave its wait; the line keeps its `current`.
                unsafe { threads.wake_waiter(thread) };
            }
            result
        })
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::host::Host;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    #[test]
    fn who_panics_on_looking_at_the_value_is_in_no_line_any_more() {
        let host = Host::new();
        let monitor = host.monitor(&host.inband(), ());
        // The first look is before the line, the second one on the way into it, the third one after the sleep.
        for last in 1..=3 {
            let mut looks = 0;
            let looks_and_panics = |(): &mut ()| {
                looks += 1;
                assert!(looks < last, "as wanted");
                None::<()>
            };
            let soon = host.now().after(crate::time::Ns(1_000));
            let wait = || monitor.wait_until(&host.oob(), &host, soon, looks_and_panics);
            assert!(catch_unwind(AssertUnwindSafe(wait)).is_err());
            assert_eq!(looks, last);
            assert!(monitor.0.with(|state| state.first.is_null()));
        }
    }
}
