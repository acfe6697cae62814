// SPDX-License-Identifier: GPL-2.0-only

//! A mutex whose owner inherits the priority of who waits for it.
//!
//! ```text
//!   owner <-- mutex <-- waiters         an owner's priority: its own, or the highest one among those that wait for any
//!     |                                 mutex it holds; handed on where it waits for a mutex itself
//!     '--waits for--> mutex --> ...
//! ```
//!
//! A mutex is not handed over: who is woken looks again, and a thread that comes first takes it.

use super::Host;
use super::threads::{Context, FIRST, Prepared, Slot};
pub use crate::mutex::LockError;
use crate::stage::Oob;
use crate::time::Instant;
use std::cell::{Cell, RefCell, RefMut};
use std::cmp::Reverse;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::rc::Rc;
use std::vec::Vec;

/// The part that does not depend on the value.
pub(super) struct Lock {
    owner: Cell<Option<usize>>,
    waiters: RefCell<Vec<usize>>,
    inherits: bool,
}

/// A value that one oob thread at a time uses.
pub struct Mutex<T> {
    host: Host,
    lock: Rc<Lock>,
    value: RefCell<T>,
}

impl<T> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mutex")
            .field("owner", &self.lock.owner)
            .finish_non_exhaustive()
    }
}

impl<T> Mutex<T> {
    /// A free one.
    pub fn new(host: &Host, value: T) -> Self {
        Self::with(host, value, true)
    }

    fn with(host: &Host, value: T, inherits: bool) -> Self {
        Self {
            host: host.clone(),
            lock: Rc::new(Lock {
                owner: Cell::new(None),
                waiters: RefCell::default(),
                inherits,
            }),
            value: RefCell::new(value),
        }
    }

    /// One without inheritance: what the test of it must find.
    #[cfg(test)]
    pub(super) fn without_inheritance(host: &Host, value: T) -> Self {
        Self::with(host, value, false)
    }

    /// Locks, waiting for the owner to be done.
    ///
    /// # Errors
    ///
    /// [`LockError`].
    pub fn lock(&self, _oob: &Oob<'_>) -> Result<MutexGuard<'_, T>, LockError> {
        let me = self.host.waiter();
        self.host.point();
        loop {
            me.prepared.set(Prepared::Interruptible);
            me.woken.set(false);
            let look = self.look(&me);
            if look.is_some() || me.signal.get() {
                me.prepared.set(Prepared::No);
                self.lock.waiters.borrow_mut().retain(|n| *n != me.number);
                me.waits_for.replace(None);
                let owner = self.lock.owner.get();
                owner.inspect(|owner| self.host.inherit(*owner));
                return match look {
                    Some(Ok(())) => Ok(self.guard(me)),
                    Some(Err(error)) => Err(error),
                    None => Err(LockError::Interrupted),
                };
            }
            self.host.sleep(&me, Instant::NEVER);
        }
    }

    /// Locks if it is free.
    pub fn try_lock(&self, _oob: &Oob<'_>) -> Option<MutexGuard<'_, T>> {
        let me = self.host.waiter();
        self.host.point();
        self.lock.owner.get().is_none().then(|| {
            self.take(&me);
            self.host.inherit(me.number);
            self.guard(me)
        })
    }

    /// Takes it where it is free, else gets in line; `Some` once the outcome is known.
    fn look(&self, me: &Slot) -> Option<Result<(), LockError>> {
        let Some(owner) = self.lock.owner.get() else {
            self.take(me);
            return Some(Ok(()));
        };
        if self.leads_to(owner, me.number) {
            return Some(Err(LockError::Deadlock));
        }
        if me.waits_for.replace(Some(Rc::clone(&self.lock))).is_none() {
            self.lock.waiters.borrow_mut().push(me.number);
        }
        self.host.inherit(owner);
        None
    }

    fn take(&self, me: &Slot) {
        self.lock.owner.set(Some(me.number));
        me.holds.borrow_mut().push(Rc::clone(&self.lock));
    }

    fn guard(&self, me: Rc<Slot>) -> MutexGuard<'_, T> {
        MutexGuard {
            mutex: self,
            me,
            value: Some(self.value.borrow_mut()),
        }
    }

    /// Whether `thread` is `wanted`, or waits for one that is, and so on.
    fn leads_to(&self, mut thread: usize, wanted: usize) -> bool {
        while thread != wanted {
            let slot = self.host.0.stages.slot(thread);
            let owner = slot.waits_for.borrow().as_ref().and_then(|l| l.owner.get());
            match owner {
                Some(owner) => thread = owner,
                None => return false,
            }
        }
        true
    }

    fn unlock(&self, me: &Slot) {
        self.lock.owner.set(None);
        me.holds
            .borrow_mut()
            .retain(|held| !Rc::ptr_eq(held, &self.lock));
        self.host.inherit(me.number);
        let slots = self.host.0.stages.slots.borrow();
        let waiters = self.lock.waiters.borrow();
        let first = waiters
            .iter()
            .map(|number| &slots[*number - FIRST])
            .min_by_key(|slot| Reverse(slot.priority.get()));
        let first = first.map(Rc::clone);
        drop((slots, waiters));
        if let Some(first) = first {
            self.host.wake_slot(&first);
        }
        self.host.point();
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

/// The value is the calling thread's. Dropping it unlocks.
pub struct MutexGuard<'a, T> {
    mutex: &'a Mutex<T>,
    me: Rc<Slot>,
    value: Option<RefMut<'a, T>>,
}

impl<T: fmt::Debug> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MutexGuard").field(&self.value).finish()
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.value.as_ref().expect("there until it is dropped")
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.value.as_mut().expect("there until it is dropped")
    }
}

impl<T> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        self.value = None;
        if let Context::Thread(_) | Context::Outside = self.mutex.host.context() {
            self.mutex.unlock(&self.me);
        }
    }
}
