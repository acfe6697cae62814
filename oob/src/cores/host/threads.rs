// SPDX-License-Identifier: GPL-2.0-only

//! What the machine knows of its threads, and how one of them gives up the processor.
//!
//! ```text
//!              computes, loses the processor
//!                     .---------.
//!                     v         |
//!   begin --------> Ready ------'--> Ended
//!                   |  ^   ^
//!    service sleeps |  |   | the delay is over
//!                   v  |   |
//!                Asleep   Stalled <-- interference, in-band threads only
//! ```
//!
//! Each thread is a coroutine on a stack of its own, so all of them are one thread of the process: nothing here needs
//! to be `Send`. One that has not ended when the machine is dropped is leaked, not unwound: others may hold pointers
//! into its stack, as [`crate::monitor`] does.

use super::Host;
use super::interference::{Interference, RandomIrq};
use super::mutex::Lock;
use super::trace::{Entry, Trace};
use crate::latch::Latch;
use crate::stage::Inband;
use crate::time::{Clock, Instant, Ns};
use corosensei::{Coroutine, Yielder};
use std::boxed::Box;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::mem;
use std::ptr::{self, NonNull};
use std::rc::Rc;
use std::string::String;
use std::vec::Vec;

/// Numbers of threads are their places in the list, plus this: a latch keeps 0 and 1 for itself.
pub(super) const FIRST: usize = 2;

type Body = Coroutine<(), (), ()>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// The test itself.
    Outside,
    Oob,
    /// Runs what interrupts forwarded in-band; before all other in-band threads.
    InbandFirst,
    Inband,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Ready,
    Asleep(Instant),
    Stalled(Instant),
    Ended,
}

/// From when on a wake-up counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Prepared {
    No,
    Yes,
    Interruptible,
}

/// A thread.
pub(super) struct Slot {
    pub(super) number: usize,
    pub(super) name: String,
    pub(super) class: Class,
    pub(super) base: i32,
    /// The base, or what it inherits.
    pub(super) priority: Cell<i32>,
    /// Among equals the lowest one runs.
    pub(super) order: Cell<u64>,
    pub(super) state: Cell<State>,
    /// What it still has to compute before it goes on.
    pub(super) left: Cell<Ns>,
    pub(super) prepared: Cell<Prepared>,
    pub(super) woken: Cell<bool>,
    pub(super) signal: Cell<bool>,
    pub(super) stopping: Cell<bool>,
    /// The machine's own: no run waits for its end.
    pub(super) is_service: bool,
    pub(super) ended: Latch,
    pub(super) waits_for: RefCell<Option<Rc<Lock>>>,
    pub(super) holds: RefCell<Vec<Rc<Lock>>>,
    body: RefCell<Option<Body>>,
    yielder: Cell<Option<NonNull<Yielder<(), ()>>>>,
}

impl Slot {
    fn new(number: usize, name: &str, class: Class, base: i32, is_service: bool) -> Self {
        Self {
            number,
            name: name.into(),
            class,
            base,
            priority: Cell::new(base),
            order: Cell::new(0),
            state: Cell::new(State::Ready),
            left: Cell::new(Ns(0)),
            prepared: Cell::new(Prepared::No),
            woken: Cell::new(false),
            signal: Cell::new(false),
            stopping: Cell::new(false),
            is_service,
            ended: Latch::new(),
            waits_for: RefCell::default(),
            holds: RefCell::default(),
            body: RefCell::new(None),
            yielder: Cell::new(None),
        }
    }

    /// Whether its waits end: by a signal, by a forced unblock, or because it is to stop.
    pub(super) fn is_interrupted(&self) -> bool {
        self.signal.get() || self.stopping.get()
    }

    pub(super) fn has_ended(&self) -> bool {
        self.state.get() == State::Ended
    }

    /// Lets the thread run until it gives up the processor; whether it has ended.
    pub(super) fn go_on(&self) -> bool {
        let Some(mut body) = self.body.take() else {
            return true;
        };
        let _inside = Innermost::enter(self);
        let has_ended = body.resume(()).as_yield().is_none();
        if !has_ended {
            self.body.replace(Some(body));
        }
        has_ended
    }

    /// The thread gives up the processor; it is the one that runs.
    fn give_up(&self) {
        // Whoever unwinds goes through to its end: what it drops on the way uses services.
        if std::thread::panicking() {
            return;
        }
        let is_innermost = INNERMOST.get() == ptr::from_ref(self);
        assert!(is_innermost, "one machine's thread inside another's");
        if let Some(yielder) = self.yielder.get() {
            // SAFETY: it is there as long as the body runs, and that is what runs: so this is its stack, too.
            unsafe { yielder.as_ref() }.suspend(());
        }
    }
}

std::thread_local! {
    /// The thread whose stack is in use, whatever machine it belongs to.
    static INNERMOST: Cell<*const Slot> = const { Cell::new(ptr::null()) };
}

/// Puts back what was there, also after a panic.
struct Innermost(*const Slot);

impl Innermost {
    fn enter(slot: &Slot) -> Self {
        Self(INNERMOST.replace(slot))
    }
}

impl Drop for Innermost {
    fn drop(&mut self) {
        INNERMOST.set(self.0);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(body) = self.body.take()
            && body.started()
        {
            mem::forget(body);
        }
    }
}

/// Who calls.
pub(super) enum Context {
    Outside,
    Thread(Rc<Slot>),
    /// A handler, or the machine itself.
    Handler,
}

/// Something to be done in-band.
pub(super) type Job = Rc<dyn Fn(&Inband<'_>)>;

/// The scheduler's state.
pub(super) struct Stages {
    pub(super) processors: Cell<usize>,
    pub(super) trace: RefCell<Trace>,
    pub(super) slots: RefCell<Vec<Rc<Slot>>>,
    pub(super) current: Cell<Option<usize>>,
    /// Handlers that run, one inside the other.
    pub(super) handlers: Cell<u32>,
    /// Hard locks that the running thread holds.
    pub(super) hard_locks: Cell<u32>,
    pub(super) interference: Cell<Interference>,
    /// In-band work that comes before all in-band threads.
    pub(super) burst: Cell<Ns>,
    pub(super) random_irqs: RefCell<Vec<RandomIrq>>,
    /// What is to be done in-band: forwarded by interrupts, and called by anybody.
    pub(super) jobs: [RefCell<VecDeque<Job>>; 2],
    /// The threads that do it.
    pub(super) workers: [Cell<Option<usize>>; 2],
    /// Turns since time moved last.
    pub(super) still: Cell<u32>,
}

impl Stages {
    pub(super) fn new(seed: u64) -> Self {
        let outside = Slot::new(FIRST, "the test", Class::Outside, 0, true);
        Self {
            processors: Cell::new(1),
            trace: RefCell::new(Trace::new(seed)),
            slots: RefCell::new(std::vec![Rc::new(outside)]),
            current: Cell::new(None),
            handlers: Cell::new(0),
            hard_locks: Cell::new(0),
            interference: Cell::default(),
            burst: Cell::new(Ns(0)),
            random_irqs: RefCell::default(),
            jobs: Default::default(),
            workers: Default::default(),
            still: Cell::new(0),
        }
    }

    pub(super) fn slot(&self, number: usize) -> Rc<Slot> {
        Rc::clone(&self.slots.borrow()[number - FIRST])
    }
}

impl Host {
    /// Makes a thread; it runs once the machine does and nothing outranks it.
    pub(super) fn begin(
        &self,
        name: &str,
        class: Class,
        base: i32,
        is_service: bool,
        body: impl FnOnce(&Rc<Slot>) + 'static,
    ) -> Rc<Slot> {
        let mut slots = self.0.stages.slots.borrow_mut();
        let number = slots.len() + FIRST;
        // What a coroutine is begun with has to be small.
        let body = Box::new(body);
        let slot = Slot::new(number, name, class, base, is_service);
        let slot = Rc::new(slot);
        let weak = Rc::downgrade(&slot);
        let run = move |yielder: &Yielder<(), ()>, ()| {
            // The machine keeps it: it has just resumed it.
            let Some(slot) = weak.upgrade() else { return };
            slot.yielder.set(Some(NonNull::from(yielder)));
            body(&slot);
            slot.yielder.set(None);
        };
        slot.body.replace(Some(Coroutine::new(run)));
        slots.push(Rc::clone(&slot));
        drop(slots);
        slot.order.set(self.order_of(class));
        slot
    }

    /// Its place among equals: the last one out-of-band, any one in-band.
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
            Some(number) => Context::Thread(stages.slot(number)),
            None => Context::Outside,
        }
    }

    /// Who may wait here.
    ///
    /// # Panics
    ///
    /// In a handler, or under a hard lock.
    pub(super) fn waiter(&self) -> Rc<Slot> {
        let locks = self.0.stages.hard_locks.get();
        assert!(locks == 0, "a hard lock is held while waiting");
        match self.context() {
            Context::Outside => self.0.stages.slot(FIRST),
            Context::Thread(slot) => slot,
            Context::Handler => panic!("a handler cannot wait"),
        }
    }

    /// A point at which the calling thread may lose the processor: the beginning or end of a service.
    pub(super) fn point(&self) {
        if self.0.stages.hard_locks.get() > 0 {
            return;
        }
        match self.context() {
            Context::Outside => _ = self.deliver(),
            Context::Thread(slot) => slot.give_up(),
            Context::Handler => {}
        }
    }

    /// Sleeps until woken, or `date`, with interrupts possible up to the last moment.
    pub(super) fn sleep(&self, slot: &Slot, date: Instant) {
        self.point();
        let is_signalled = slot.prepared.get() == Prepared::Interruptible && slot.is_interrupted();
        if !slot.woken.get() && !is_signalled && !std::thread::panicking() {
            match slot.class {
                Class::Outside => self.run_while_asleep(slot, date),
                _ => {
                    slot.state.set(State::Asleep(date));
                    slot.give_up();
                }
            }
        }
        slot.prepared.set(Prepared::No);
        slot.woken.set(false);
    }

    fn run_while_asleep(&self, slot: &Slot, date: Instant) {
        while !slot.woken.get() && self.now() < date {
            if !self.turn(date) {
                assert!(
                    date != Instant::NEVER,
                    "nothing is left that could end this wait"
                );
            }
        }
    }

    /// Wakes a thread if it prepared to be woken.
    pub(super) fn wake_slot(&self, slot: &Slot) {
        if slot.prepared.get() == Prepared::No {
            return;
        }
        slot.woken.set(true);
        if let State::Asleep(_) = slot.state.get() {
            slot.state.set(State::Ready);
            slot.order.set(self.order_of(slot.class));
            self.note(Entry::Wake(slot.number));
        }
    }

    /// What [`Host::compute`] is in a thread. Where there is interference, in-band threads meet it in the middle, too.
    pub(super) fn compute_in(&self, slot: &Slot, span: Ns) {
        let stages = &self.0.stages;
        assert!(
            stages.hard_locks.get() == 0,
            "computing under a hard lock is `elapse`"
        );
        let is_split =
            slot.class == Class::Inband && stages.interference.get() != Interference::NONE;
        let first = match is_split {
            true => self.random(span.0),
            false => span.0,
        };
        for part in [first, span.0 - first] {
            slot.left.set(Ns(part));
            slot.give_up();
        }
    }

    pub(super) fn note(&self, entry: Entry) {
        self.0.stages.trace.borrow_mut().note(self.now(), entry);
    }
}
