// SPDX-License-Identifier: GPL-2.0-only

//! The scheduler's state: the threads of both stages, the handlers that are due, and the
//! interference.

use super::sim_thread::{Class, FIRST, SimThread};
use super::trace::Trace;
use crate::stage::Inband;
use crate::time::{Instant, Ns};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::vec::Vec;

/// How much interference there is. Each span is the longest that the seed can choose; 0 means none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interference {
    /// One of this many points is disturbed; 0 means never.
    pub odds: u64,
    /// In-band code computes before all in-band threads.
    pub burst: Ns,
    /// An in-band thread stalls.
    pub stall: Ns,
    /// In-band code has interrupts off.
    pub hard_off: Ns,
}

impl Interference {
    /// No interference.
    pub const NONE: Self = Self {
        odds: 0,
        burst: Ns(0),
        stall: Ns(0),
        hard_off: Ns(0),
    };
}

/// An interrupt that the machine raises at points that the seed chooses.
pub(super) struct RandomIrq {
    /// How many times it is still to be raised.
    pub(super) left: u32,
    pub(super) raise: Rc<dyn Fn()>,
}

/// A handler; it gets the number of missed periods.
pub(super) type DueHandler = Rc<dyn Fn(u64)>;

/// A handler that is to be called at a date.
pub(super) struct Due {
    pub(super) date: Instant,
    pub(super) order: u64,
    pub(super) period: Ns,
    pub(super) timer: u64,
    pub(super) handler: DueHandler,
}

/// The caller's context.
pub(super) enum Context {
    /// The test, outside the machine.
    Outside,
    Thread(Rc<SimThread>),
    /// A handler, or the machine itself.
    Handler,
}

/// A function to call in-band.
pub(super) type Job = Rc<dyn Fn(&Inband<'_>)>;

/// The scheduler's state.
pub(super) struct Stages {
    pub(super) processors: Cell<usize>,
    pub(super) trace: RefCell<Trace>,
    pub(super) threads: RefCell<Vec<Rc<SimThread>>>,
    pub(super) current: Cell<Option<usize>>,
    /// The number of nested handlers that run.
    pub(super) handlers: Cell<u32>,
    /// The number of hard locks that the running thread holds.
    pub(super) hard_locks: Cell<u32>,
    pub(super) interference: Cell<Interference>,
    /// How long in-band code still computes before all in-band threads.
    pub(super) burst: Cell<Ns>,
    pub(super) random_irqs: RefCell<Vec<RandomIrq>>,
    /// The functions to call in-band: those that interrupts forwarded, and work.
    pub(super) jobs: [RefCell<VecDeque<Job>>; 2],
    /// The threads that call them.
    pub(super) workers: [Cell<Option<usize>>; 2],
    /// Turns since time last moved.
    pub(super) still: Cell<u32>,
}

impl Stages {
    pub(super) fn new(seed: u64) -> Self {
        let outside = SimThread::new(FIRST, "the test", Class::Outside, 0, true);
        Self {
            processors: Cell::new(1),
            trace: RefCell::new(Trace::new(seed)),
            threads: RefCell::new(std::vec![Rc::new(outside)]),
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

    pub(super) fn thread(&self, number: usize) -> Rc<SimThread> {
        Rc::clone(&self.threads.borrow()[number - FIRST])
    }
}
