// SPDX-License-Identifier: GPL-2.0-only

//! The mutex: its owner inherits the highest priority of its waiters.
//!
//! ```text
//!   owner <-- mutex <-- waiters         an owner's priority: its own, or the highest among the waiters of all mutexes
//!     |                                 that it holds; an owner that waits for a mutex itself passes it on
//!     '--waits for--> mutex --> ...
//! ```
//!
//! [`crate::mutex`] wraps it. Unlocking does not hand the mutex over: the woken waiter tries again,
//! and another thread may take the mutex first.

use super::machine::Host;
use super::sim_thread::{FIRST, MutexState, Prepared, SimThread};
use crate::mutex::{self, LockError, RawMutex};
use crate::stage::Inband;
use crate::time::Instant;
use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::fmt;
use std::rc::Rc;

/// A value that one oob thread at a time uses.
pub type Mutex<T> = mutex::Mutex<T, Inheriting>;

/// The guard of a [`Mutex`].
pub type MutexGuard<'a, T> = mutex::MutexGuard<'a, T, Inheriting>;

impl<T> Mutex<T> {
    /// An unlocked mutex.
    pub fn new(host: &Host, _inband: &Inband<'_>, value: T) -> Self {
        Self::over(Inheriting::new(host, true), value)
    }

    /// A mutex without inheritance: the tests must find that it is missing.
    #[cfg(test)]
    pub(super) fn without_inheritance(host: &Host, value: T) -> Self {
        Self::over(Inheriting::new(host, false), value)
    }
}

/// The machine's lock.
pub struct Inheriting {
    host: Host,
    lock: Rc<MutexState>,
}

impl fmt::Debug for Inheriting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inheriting")
            .field("owner", &self.lock.owner)
            .finish_non_exhaustive()
    }
}

impl Inheriting {
    fn new(host: &Host, inherits: bool) -> Self {
        Self {
            host: host.clone(),
            lock: Rc::new(MutexState {
                owner: Cell::new(None),
                waiters: RefCell::default(),
                inherits,
            }),
        }
    }

    /// Takes the mutex if it is free, else queues `me`. Returns whether it was taken.
    fn take(&self, me: &SimThread) -> bool {
        match self.lock.owner.get() {
            None => {
                self.lock.owner.set(Some(me.number));
                me.holds.borrow_mut().push(Rc::clone(&self.lock));
                true
            }
            Some(owner) => {
                if me.waits_for.replace(Some(Rc::clone(&self.lock))).is_none() {
                    self.lock.waiters.borrow_mut().push(me.number);
                }
                self.host.inherit(owner);
                false
            }
        }
    }
}

// SAFETY: one thread of the machine runs at a time, and `take` takes the mutex only while it has no
// owner.
unsafe impl RawMutex for Inheriting {
    fn lock(&self) -> Result<(), LockError> {
        let me = self.host.waiter();
        self.host.point();
        loop {
            me.prepared.set(Prepared::Interruptible);
            me.woken.set(false);
            let is_mine = self.take(&me);
            if is_mine || me.is_interrupted() {
                me.prepared.set(Prepared::No);
                self.lock.waiters.borrow_mut().retain(|n| *n != me.number);
                me.waits_for.replace(None);
                let owner = self.lock.owner.get();
                owner.inspect(|owner| self.host.inherit(*owner));
                return is_mine.then_some(()).ok_or(LockError::Interrupted);
            }
            self.host.sleep(&me, Instant::NEVER);
        }
    }

    fn try_lock(&self) -> bool {
        let me = self.host.waiter();
        self.host.point();
        let is_mine = self.lock.owner.get().is_none() && self.take(&me);
        if is_mine {
            self.host.inherit(me.number);
        }
        is_mine
    }

    unsafe fn unlock(&self) {
        let Some(number) = self.lock.owner.take() else {
            return;
        };
        let me = self.host.0.stages.thread(number);
        let holds = |held: &Rc<MutexState>| !Rc::ptr_eq(held, &self.lock);
        me.holds.borrow_mut().retain(holds);
        self.host.inherit(number);
        let first = {
            let threads = self.host.0.stages.threads.borrow();
            let waiters = self.lock.waiters.borrow();
            let all = waiters.iter().map(|number| &threads[*number - FIRST]);
            all.min_by_key(|thread| Reverse(thread.priority.get()))
                .cloned()
        };
        if let Some(first) = first {
            self.host.wake_sim_thread(&first);
        }
        self.host.point();
    }

    fn current(&self) -> usize {
        self.host.waiter().number
    }
}

impl Host {
    /// Updates the priority of a thread, then that of the owner of the mutex that the thread waits
    /// for, and so on.
    fn inherit(&self, mut number: usize) {
        loop {
            let thread = self.0.stages.thread(number);
            let highest = {
                let threads = self.0.stages.threads.borrow();
                let holds = thread.holds.borrow();
                let waiting = holds
                    .iter()
                    .filter(|held| held.inherits)
                    .flat_map(|held| held.waiters.borrow().clone());
                let inherited = waiting.map(|number| threads[number - FIRST].priority.get());
                inherited.chain([thread.base]).max().unwrap_or(thread.base)
            };
            if thread.priority.replace(highest) == highest {
                return;
            }
            let owner = thread
                .waits_for
                .borrow()
                .as_ref()
                .and_then(|l| l.owner.get());
            match owner {
                Some(owner) => number = owner,
                None => return,
            }
        }
    }
}
