// SPDX-License-Identifier: GPL-2.0-only

//! The simulated machine: its clock, its devices, and the tokens of its stages.

use super::sim_thread::Class;
use super::stages::{Context, Due, Stages};
use crate::stage::{Inband, Oob};
use crate::time::{Clock, Instant, Ns};
use std::boxed::Box;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::vec::Vec;

/// A device whose state changes with time: a simulated board.
pub trait Device {
    /// The next date at which the device's state changes without an access.
    fn next_event(&self) -> Option<Instant>;

    /// Brings the device to `now` and delivers the interrupts that are due.
    fn advance(&self, now: Instant);
}

pub(super) struct Inner {
    pub(super) now: Cell<Instant>,
    quantum: Cell<Ns>,
    next_id: Cell<u64>,
    devices: RefCell<Vec<Rc<dyn Device>>>,
    pub(super) due: RefCell<Vec<Due>>,
    pub(super) stages: Stages,
}

/// A simulated machine. Clones are handles to the same machine.
#[derive(Clone)]
pub struct Host(pub(super) Rc<Inner>);

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host")
            .field("now", &self.0.now.get())
            .finish_non_exhaustive()
    }
}

impl Default for Host {
    fn default() -> Self {
        Self::new()
    }
}

impl Host {
    /// A machine at date 1 us, with one processor, no devices, and seed 0. One turn of a polling
    /// loop takes 20 ns.
    pub fn new() -> Self {
        Self::seeded(0)
    }

    /// As [`Self::new`], but `seed` makes all choices.
    pub fn seeded(seed: u64) -> Self {
        Self(Rc::new(Inner {
            now: Cell::new(Instant(1_000)),
            quantum: Cell::new(Ns(20)),
            next_id: Cell::new(0),
            devices: RefCell::new(Vec::new()),
            due: RefCell::new(Vec::new()),
            stages: Stages::new(seed),
        }))
    }

    /// A number from 0 to `most` that the seed chooses, for a test that wants an arbitrary value.
    pub fn random(&self, most: u64) -> u64 {
        self.0.stages.trace.borrow_mut().up_to(most)
    }

    /// Sets the number of processors, at least 1. Dates are exact with one processor only: with
    /// several, disabled interrupts on one also hold up the others.
    pub fn set_processors(&self, processors: usize) {
        self.0.stages.processors.set(processors.max(1));
    }

    /// Sets how long one turn of a polling loop takes, at least 1 ns.
    pub fn set_quantum(&self, quantum: Ns) {
        self.0.quantum.set(Ns(quantum.0.max(1)));
    }

    /// Adds a device, whose time this machine then keeps.
    pub fn attach(&self, device: Rc<dyn Device>) {
        self.0.devices.borrow_mut().push(device);
    }

    /// Calls `handler` once at `date`.
    pub fn at(&self, date: Instant, handler: impl FnOnce() + 'static) {
        let once = Cell::new(Some(Box::new(handler) as Box<dyn FnOnce()>));
        let handler = Rc::new(move |_| {
            if let Some(f) = once.take() {
                f();
            }
        });
        self.arm(self.id(), date, Ns(0), handler);
    }

    /// Runs everything that is due up to `date` and sets the time to `date`. In a thread of the
    /// machine: computes until `date`.
    pub fn run_until(&self, date: Instant) {
        if let Context::Thread(_) = self.context() {
            return self.compute(date.since(self.now()));
        }
        while self.turn(date) {}
        if self.now() < date {
            self.0.now.set(date);
        }
        self.advance_devices();
    }

    /// The calling thread computes for `span`. Threads and handlers that outrank it may interrupt
    /// it.
    pub fn compute(&self, span: Ns) {
        match self.context() {
            Context::Thread(thread) => self.compute_in(&thread, span),
            _ => self.run_until(self.now().after(span)),
        }
    }

    /// Lets `span` pass while the simulated processor is busy and takes no interrupt, for example
    /// during a register access.
    ///
    /// Handlers that fall due meanwhile run late, at the next service.
    pub fn elapse(&self, span: Ns) {
        self.pass_elsewhere(span);
        self.0.now.set(self.now().after(span));
    }

    /// The out-of-band stage's token, for an oob thread of the machine or for the test.
    ///
    /// # Panics
    ///
    /// If the caller is neither: the token would be false.
    pub fn oob(&self) -> Oob<'_> {
        self.assert_class(Class::Oob);
        // SAFETY: the caller is an oob thread of the machine, or the test, as just checked; both
        // may wait, which only moves virtual time.
        unsafe { Oob::assume() }
    }

    /// The in-band stage's token, for an in-band thread of the machine or for the test. The stage
    /// is checked only when the token is requested: the token of a leaked `Host` lasts, and a
    /// thread's body can capture it.
    ///
    /// # Panics
    ///
    /// If the caller is neither: the token would be false.
    pub fn inband(&self) -> Inband<'_> {
        self.assert_class(Class::Inband);
        // SAFETY: the caller is an in-band thread of the machine, or the test, as just checked;
        // both may sleep in virtual time.
        unsafe { Inband::assume() }
    }

    fn assert_class(&self, wanted: Class) {
        let is_so = match self.context() {
            Context::Outside => true,
            Context::Thread(thread) => thread.class == wanted,
            Context::Handler => false,
        };
        assert!(is_so, "the caller does not run on the stage of this token");
    }

    pub(super) fn id(&self) -> u64 {
        let id = self.0.next_id.get();
        self.0.next_id.set(id + 1);
        id
    }

    /// The next date at which a handler runs.
    pub(super) fn next_event(&self) -> Option<Instant> {
        let devices = self.0.devices.borrow().clone();
        let of_devices = devices.iter().filter_map(|d| d.next_event()).min();
        let of_timers = self.0.due.borrow().iter().map(|due| due.date).min();
        of_devices.into_iter().chain(of_timers).min()
    }

    pub(super) fn advance_devices(&self) {
        let devices = self.0.devices.borrow().clone();
        for device in devices {
            device.advance(self.now());
        }
    }
}

impl Clock for Host {
    fn now(&self) -> Instant {
        self.0.now.get()
    }

    fn relax(&self) {
        self.compute(self.0.quantum.get());
    }
}
