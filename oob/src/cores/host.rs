// SPDX-License-Identifier: GPL-2.0-only

//! The host core: a machine of two stages in a plain process, under virtual time.
//!
//! ```text
//!   oob threads, priorities 1..=98  \                          seed --> trace.rs: every choice, and the trace
//!   in-band threads                  }--- each a coroutine ---> engine.rs: who runs, what falls due, in order of date
//!   the test itself, from outside   /                            |       |          |
//!                                             Device::advance <--'    timers,    interference.rs: bursts, delays,
//!                                                                     interrupts  interrupts-off sections in-band
//! ```
//!
//! Nothing here reads the machine's clock, and one thing at a time runs: a run is the same every time, and another
//! one for another seed. Rules:
//! - time moves only while a thread computes ([`Clock::relax`], [`Host::compute`], [`Host::elapse`]) or all sleep: code
//!   between two services takes none. A loop that polls without [`Clock::relax`] hangs;
//! - every service is a point at which the thread may lose the processor: to a thread of higher rank, to an interrupt,
//!   and in-band to whatever the seed chooses. Between two services nothing happens;
//! - an oob thread outranks everything in-band; among oob threads the priority counts, then who was ready first;
//! - handlers run with interrupts off and never wait. So does whoever holds a [`HostLock`];
//! - the test is not part of the machine: when it waits, the machine runs, and when the machine runs the test does not.
//!
//! Real orders of memory accesses are not simulated here: that is loom's part, and the stage lock's search has every
//! order of its steps.

mod engine;
mod flag;
mod interference;
mod interrupt;
mod mutex;
mod park;
mod poll;
mod relay;
mod thread;
mod threads;
mod timer;
mod trace;
mod work;

pub use crate::mutex::LockError;
pub use engine::{Stuck, explore};
pub use flag::HostFlag;
pub use interference::Interference;
pub use interrupt::{Handled, Handler, Interrupt};
pub use mutex::{Inheriting, Mutex, MutexGuard};
pub use park::{HostLock, Monitor, Semaphore};
pub use poll::{PollHead, poll};
pub use relay::{Pool, Relay};
pub use thread::{RunError, Running, Task, Thread};
pub use timer::HostTimer;
pub use work::Work;

use crate::stage::{Inband, Oob};
use crate::time::{Clock, Instant, Ns};
use std::boxed::Box;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::vec::Vec;
use threads::{Class, Context, Stages};
use timer::Due;

/// Something with time in it: a simulated board.
pub trait Device {
    /// The next date at which something happens by itself.
    fn next_event(&self) -> Option<Instant>;

    /// Brings the device to `now` and delivers the interrupts that are due.
    fn advance(&self, now: Instant);
}

struct Inner {
    now: Cell<Instant>,
    quantum: Cell<Ns>,
    next_id: Cell<u64>,
    devices: RefCell<Vec<Rc<dyn Device>>>,
    due: RefCell<Vec<Due>>,
    stages: Stages,
}

/// A simulated machine; clones are handles to the same one.
#[derive(Clone)]
pub struct Host(Rc<Inner>);

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
    /// A machine at date 1 us, with one processor, no devices, and seed 0. One turn of a polling loop takes 20 ns.
    pub fn new() -> Self {
        Self::seeded(0)
    }

    /// The same, with all its choices made by `seed`.
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

    /// A number from 0 to `most`, chosen by the seed: for what a test wants to be any.
    pub fn random(&self, most: u64) -> u64 {
        self.0.stages.trace.borrow_mut().up_to(most)
    }

    /// Sets how many processors there are; at least 1. Exact dates are promised of one alone: with several, interrupts
    /// off on one of them hold up the others, too.
    pub fn set_processors(&self, processors: usize) {
        self.0.stages.processors.set(processors.max(1));
    }

    /// Sets what one turn of a polling loop costs; at least 1 ns.
    pub fn set_quantum(&self, quantum: Ns) {
        self.0.quantum.set(Ns(quantum.0.max(1)));
    }

    /// Adds a device whose time this machine keeps.
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

    /// Runs everything that is due up to `date`, then stands at `date`. In a thread of the machine: computes till then.
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

    /// Has the calling thread compute for `span`; whatever outranks it may interrupt that.
    pub fn compute(&self, span: Ns) {
        match self.context() {
            Context::Thread(slot) => self.compute_in(&slot, span),
            _ => self.run_until(self.now().after(span)),
        }
    }

    /// Lets `span` go by while the simulated processor is busy and takes no interrupt: a register access, for example.
    ///
    /// What falls due meanwhile runs late, at the next service.
    pub fn elapse(&self, span: Ns) {
        self.pass_elsewhere(span);
        self.0.now.set(self.now().after(span));
    }

    /// The out-of-band stage's token, for an oob thread of the machine or for the test.
    ///
    /// # Panics
    ///
    /// Anywhere else: there it would not be true.
    pub fn oob(&self) -> Oob<'_> {
        self.assert_class(Class::Oob);
        // SAFETY: just checked; waiting moves virtual time and cannot block anything else.
        unsafe { Oob::assume() }
    }

    /// The in-band stage's token, for an in-band thread of the machine or for the test. That it is used there is checked when
    /// it is asked for: one of a `Host` that was leaked lasts, and a thread's body can capture it.
    ///
    /// # Panics
    ///
    /// Anywhere else: there it would not be true.
    pub fn inband(&self) -> Inband<'_> {
        self.assert_class(Class::Inband);
        // SAFETY: just checked.
        unsafe { Inband::assume() }
    }

    fn assert_class(&self, wanted: Class) {
        let is_so = match self.context() {
            Context::Outside => true,
            Context::Thread(slot) => slot.class == wanted,
            Context::Handler => false,
        };
        assert!(is_so, "a token of a stage on which the caller does not run");
    }

    fn id(&self) -> u64 {
        let id = self.0.next_id.get();
        self.0.next_id.set(id + 1);
        id
    }

    /// The next date at which a handler runs.
    fn next_event(&self) -> Option<Instant> {
        let devices = self.0.devices.borrow().clone();
        let of_devices = devices.iter().filter_map(|d| d.next_event()).min();
        let of_timers = self.0.due.borrow().iter().map(|due| due.date).min();
        of_devices.into_iter().chain(of_timers).min()
    }

    fn advance_devices(&self) {
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

#[cfg(all(test, not(loom)))]
mod tests;
