// SPDX-License-Identifier: GPL-2.0-only

//! How threads start, give up the processor, sleep and are woken.

use super::machine::Host;
use super::sim_thread::{Class, FIRST, Prepared, SimThread, State};
use super::stages::{Context, Interference};
use super::trace::Entry;
use crate::time::{Clock, Instant, Ns};
use corosensei::{Coroutine, Yielder};
use std::boxed::Box;
use std::ptr::NonNull;
use std::rc::Rc;

impl Host {
    /// Creates a thread. It runs when the machine runs and nothing outranks it.
    pub(super) fn begin(
        &self,
        name: &str,
        class: Class,
        base: i32,
        is_service: bool,
        body: impl FnOnce(&Rc<SimThread>) + 'static,
    ) -> Rc<SimThread> {
        let mut threads = self.0.stages.threads.borrow_mut();
        let number = threads.len() + FIRST;
        // Boxed, because a coroutine's initial closure must be small.
        let body = Box::new(body);
        let thread = SimThread::new(number, name, class, base, is_service);
        let thread = Rc::new(thread);
        let weak = Rc::downgrade(&thread);
        let run = move |yielder: &Yielder<(), ()>, ()| {
            // The machine keeps the thread, because it has just resumed it.
            let Some(thread) = weak.upgrade() else { return };
            thread.yielder.set(Some(NonNull::from(yielder)));
            body(&thread);
            thread.yielder.set(None);
        };
        thread.body.replace(Some(Coroutine::new(run)));
        threads.push(Rc::clone(&thread));
        drop(threads);
        thread.order.set(self.order_of(class));
        thread
    }

    /// The order of a thread among threads of equal priority: the last one out-of-band, a random
    /// one in-band.
    pub(super) fn order_of(&self, class: Class) -> u64 {
        match class {
            Class::Inband => self.random(u64::MAX),
            _ => self.id(),
        }
    }

    pub(super) fn context(&self) -> Context {
        let stages = &self.0.stages;
        match stages.current.get() {
            _ if stages.handlers.get() > 0 => Context::Handler,
            Some(number) => Context::Thread(stages.thread(number)),
            None => Context::Outside,
        }
    }

    /// The calling thread, which wants to wait.
    ///
    /// # Panics
    ///
    /// In a handler, or under a hard lock.
    pub(super) fn waiter(&self) -> Rc<SimThread> {
        let locks = self.0.stages.hard_locks.get();
        assert!(locks == 0, "the caller holds a hard lock and waits");
        match self.context() {
            Context::Outside => self.0.stages.thread(FIRST),
            Context::Thread(thread) => thread,
            Context::Handler => panic!("a handler cannot wait"),
        }
    }

    /// A point at which the calling thread may lose the processor: the beginning and the end of
    /// each service.
    pub(super) fn point(&self) {
        if self.0.stages.hard_locks.get() > 0 {
            return;
        }
        match self.context() {
            Context::Outside => _ = self.deliver(),
            Context::Thread(thread) => thread.give_up(),
            Context::Handler => {}
        }
    }

    /// Sleeps until woken, or until `date`. Interrupts can come up to the last moment.
    pub(super) fn sleep(&self, thread: &SimThread, date: Instant) {
        self.point();
        let is_signalled =
            thread.prepared.get() == Prepared::Interruptible && thread.is_interrupted();
        if !thread.woken.get() && !is_signalled && !std::thread::panicking() {
            match thread.class {
                Class::Outside => self.run_while_asleep(thread, date),
                _ => {
                    thread.state.set(State::Asleep(date));
                    thread.give_up();
                }
            }
        }
        thread.prepared.set(Prepared::No);
        thread.woken.set(false);
    }

    fn run_while_asleep(&self, thread: &SimThread, date: Instant) {
        while !thread.woken.get() && self.now() < date {
            if !self.turn(date) {
                assert!(date != Instant::NEVER, "nothing can end this wait any more");
            }
        }
    }

    /// Wakes a thread if it has prepared a wait.
    pub(super) fn wake_sim_thread(&self, thread: &SimThread) {
        if thread.prepared.get() == Prepared::No {
            return;
        }
        thread.woken.set(true);
        if let State::Asleep(_) = thread.state.get() {
            thread.state.set(State::Ready);
            thread.order.set(self.order_of(thread.class));
            self.note(Entry::Wake(thread.number));
        }
    }

    /// [`Host::compute`] for a thread. With interference, an in-band thread is also disturbed in
    /// the middle of the span.
    pub(super) fn compute_in(&self, thread: &SimThread, span: Ns) {
        let stages = &self.0.stages;
        assert!(
            stages.hard_locks.get() == 0,
            "use `elapse` to compute under a hard lock"
        );
        let is_split =
            thread.class == Class::Inband && stages.interference.get() != Interference::NONE;
        let first = match is_split {
            true => self.random(span.0),
            false => span.0,
        };
        for part in [first, span.0 - first] {
            thread.left.set(Ns(part));
            thread.give_up();
        }
    }

    pub(super) fn note(&self, entry: Entry) {
        self.0.stages.trace.borrow_mut().note(self.now(), entry);
    }
}
