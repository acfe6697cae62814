// SPDX-License-Identifier: GPL-2.0-only

//! A thread of the machine, and how it gives up the processor.
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
//! Each thread is a coroutine on a stack of its own, so all threads share one thread of the process
//! and nothing here needs to be `Send`. A thread that has not ended when the machine is dropped is
//! leaked and not unwound, because other threads may hold pointers into its stack, as
//! [`crate::monitor`] does.

use crate::latch::Latch;
use crate::time::{Instant, Ns};
use corosensei::{Coroutine, Yielder};
use std::cell::{Cell, RefCell};
use std::mem;
use std::ptr::{self, NonNull};
use std::rc::Rc;
use std::string::String;
use std::vec::Vec;

/// A mutex as the threads see it.
pub(super) struct MutexState {
    /// The number of the thread that holds it.
    pub(super) owner: Cell<Option<usize>>,
    /// The numbers of the threads that wait for it.
    pub(super) waiters: RefCell<Vec<usize>>,
    /// Whether the owner inherits priorities.
    pub(super) inherits: bool,
}

/// A thread's number is its index in the list plus this: a latch uses 0 and 1 itself.
pub(super) const FIRST: usize = 2;

type Body = Coroutine<(), (), ()>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// The test itself.
    Outside,
    Oob,
    /// Runs the in-band parts of interrupts, before all other in-band threads.
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

/// Whether a wake-up counts now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Prepared {
    No,
    Yes,
    Interruptible,
}

/// A thread of the machine.
pub(super) struct SimThread {
    pub(super) number: usize,
    pub(super) name: String,
    pub(super) class: Class,
    pub(super) base: i32,
    /// The base priority, or an inherited one.
    pub(super) priority: Cell<i32>,
    /// Among threads of equal priority the one with the lowest order runs.
    pub(super) order: Cell<u64>,
    pub(super) state: Cell<State>,
    /// The time that the thread still computes before it goes on.
    pub(super) left: Cell<Ns>,
    pub(super) prepared: Cell<Prepared>,
    pub(super) woken: Cell<bool>,
    pub(super) signal: Cell<bool>,
    pub(super) stopping: Cell<bool>,
    /// A thread of the machine itself: no run waits for its end.
    pub(super) is_service: bool,
    pub(super) ended: Latch,
    pub(super) waits_for: RefCell<Option<Rc<MutexState>>>,
    pub(super) holds: RefCell<Vec<Rc<MutexState>>>,
    pub(super) body: RefCell<Option<Body>>,
    pub(super) yielder: Cell<Option<NonNull<Yielder<(), ()>>>>,
}

impl SimThread {
    pub(super) fn new(
        number: usize,
        name: &str,
        class: Class,
        base: i32,
        is_service: bool,
    ) -> Self {
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

    /// Whether a signal, a forced unblock or a stop request ends the thread's waits.
    pub(super) fn is_interrupted(&self) -> bool {
        self.signal.get() || self.stopping.get()
    }

    pub(super) fn has_ended(&self) -> bool {
        self.state.get() == State::Ended
    }

    /// Runs the thread until it gives up the processor. Returns whether it has ended.
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

    /// Gives up the processor. Called by the running thread itself.
    pub(super) fn give_up(&self) {
        // A thread that unwinds runs on to its end, although the values that it drops use services.
        if std::thread::panicking() {
            return;
        }
        let is_innermost = INNERMOST.get() == ptr::from_ref(self);
        assert!(
            is_innermost,
            "a thread of one machine runs inside a thread of another"
        );
        if let Some(yielder) = self.yielder.get() {
            // SAFETY: `yielder` is set only while the coroutine's body runs, and the yielder lives
            // for as long as that body. The check above has made sure that the caller runs on this
            // coroutine's stack, as `suspend` requires.
            unsafe { yielder.as_ref() }.suspend(());
        }
    }
}

std::thread_local! {
    /// The thread whose stack is in use, of whichever machine.
    static INNERMOST: Cell<*const SimThread> = const { Cell::new(ptr::null()) };
}

/// Restores the former value when it is dropped, also after a panic.
struct Innermost(*const SimThread);

impl Innermost {
    fn enter(thread: &SimThread) -> Self {
        Self(INNERMOST.replace(thread))
    }
}

impl Drop for Innermost {
    fn drop(&mut self) {
        INNERMOST.set(self.0);
    }
}

impl Drop for SimThread {
    fn drop(&mut self) {
        if let Some(body) = self.body.take()
            && body.started()
        {
            mem::forget(body);
        }
    }
}
