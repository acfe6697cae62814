// SPDX-License-Identifier: GPL-2.0-only

//! A mutex whose owner inherits the priority of who waits for it.
//!
//! ```text
//!   owner <-- mutex <-- waiters         an owner's priority: its own, or the highest one among those that wait for any
//!     |                                 mutex it holds; handed on where it waits for a mutex itself
//!     '--waits for--> mutex --> ...
//! ```
//!
//! [`crate::mutex`] is round it. It is not handed over: who is woken looks again, and a thread that comes first takes it.

use super::Host;
use super::threads::{FIRST, Prepared, Slot};
use crate::mutex::{self, LockError, RawMutex};
use crate::stage::Inband;
use crate::time::Instant;
use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::fmt;
use std::rc::Rc;
use std::vec::Vec;

/// A value that one oob thread at a time uses.
pub type Mutex<T> = mutex::Mutex<T, Inheriting>;

/// Whoever holds it has a mutex.
pub type MutexGuard<'a, T> = mutex::MutexGuard<'a, T, Inheriting>;

impl<T> Mutex<T> {
    /// A free one.
    pub fn new(host: &Host, _inband: &Inband<'_>, value: T) -> Self {
        Self::over(Inheriting::new(host, true), value)
    }

    /// One without inheritance: what the test of it must find.
    #[cfg(test)]
    pub(super) fn without_inheritance(host: &Host, value: T) -> Self {
        Self::over(Inheriting::new(host, false), value)
    }
}

/// What threads know of a lock.
pub(super) struct Lock {
    owner: Cell<Option<usize>>,
    waiters: RefCell<Vec<usize>>,
    inherits: bool,
}

/// The machine's lock.
pub struct Inheriting {
    host: Host,
    lock: Rc<Lock>,
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
            lock: Rc::new(Lock {
                owner: Cell::new(None),
                waiters: RefCell::default(),
                inherits,
            }),
        }
    }

    /// Takes it where it is free, else gets in line; whether it took it.
    fn take(&self, me: &Slot) -> bool {
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

// SAFETY: one thread of the machine runs at a time, and it takes the lock only where nobody has it.
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
        let me = self.host.0.stages.slot(number);
        let holds = |held: &Rc<Lock>| !Rc::ptr_eq(held, &self.lock);
        me.holds.borrow_mut().retain(holds);
        self.host.inherit(number);
        let first = {
            let slots = self.host.0.stages.slots.borrow();
            let waiters = self.lock.waiters.borrow();
            let all = waiters.iter().map(|number| &slots[*number - FIRST]);
            all.min_by_key(|slot| Reverse(slot.priority.get())).cloned()
        };
        if let Some(first) = first {
            self.host.wake_slot(&first);
        }
        self.host.point();
    }

    fn current(&self) -> usize {
        self.host.waiter().number
    }
}

impl Host {
    /// Gives a thread the priority that is due to it now, and so on along the line.
    fn inherit(&self, mut thread: usize) {
        loop {
            let slot = self.0.stages.slot(thread);
            let highest = {
                let slots = self.0.stages.slots.borrow();
                let holds = slot.holds.borrow();
                let waiting = holds
                    .iter()
                    .filter(|held| held.inherits)
                    .flat_map(|held| held.waiters.borrow().clone());
                let inherited = waiting.map(|number| slots[number - FIRST].priority.get());
                inherited.chain([slot.base]).max().unwrap_or(slot.base)
            };
            if slot.priority.replace(highest) == highest {
                return;
            }
            let owner = slot.waits_for.borrow().as_ref().and_then(|l| l.owner.get());
            match owner {
                Some(owner) => thread = owner,
                None => return,
            }
        }
    }
}
