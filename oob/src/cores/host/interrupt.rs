// SPDX-License-Identifier: GPL-2.0-only

//! Interrupts: a handler out-of-band, and what it forwards in-band.
//!
//! ```text
//!   raise, raise_at, raise_at_random --> handle(), interrupts off
//!                                   | Forward
//!                                   '--> inband(), once no oob thread wants the processor
//! ```
//!
//! Several forwards before the in-band part begins are one.

use super::Host;
use super::work::Queue;
pub use crate::irq::{Handled, Handler};
use crate::stage::Inband;
use crate::time::{Clock, Instant, Ns};
use std::cell::Cell;
use std::fmt;
use std::rc::Rc;

struct Inner<H> {
    host: Host,
    id: u64,
    handler: H,
    is_forwarded: Cell<bool>,
    spurious: Cell<u64>,
    is_gone: Cell<bool>,
}

/// An interrupt line with its handler; dropping it frees the line.
pub struct Interrupt<H: Handler>(Rc<Inner<H>>);

impl<H: Handler> fmt::Debug for Interrupt<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Interrupt")
            .field("id", &self.0.id)
            .finish_non_exhaustive()
    }
}

impl<H: Handler> Interrupt<H> {
    /// A line that is low.
    pub fn new(host: &Host, _inband: &Inband<'_>, handler: H) -> Self {
        Self(Rc::new(Inner {
            host: host.clone(),
            id: host.id(),
            handler,
            is_forwarded: Cell::new(false),
            spurious: Cell::new(0),
            is_gone: Cell::new(false),
        }))
    }

    /// Interrupts at the next point.
    pub fn raise(&self) {
        self.raise_at(self.0.host.now());
    }

    /// Interrupts at `date`, or as soon as interrupts are on then.
    pub fn raise_at(&self, date: Instant) {
        Inner::raise_at(&self.0, date);
    }

    /// Interrupts `times` times, at points that the seed chooses.
    pub fn raise_at_random(&self, times: u32) {
        let inner = Rc::clone(&self.0);
        let raise = Rc::new(move || Inner::raise_at(&inner, inner.host.now()));
        self.0.host.add_random_irq(times, raise);
    }

    /// What the line calls.
    pub fn handler(&self) -> &H {
        &self.0.handler
    }

    /// How many interrupts the handler did not take for its own.
    pub fn spurious(&self) -> u64 {
        self.0.spurious.get()
    }
}

impl<H: Handler> Inner<H> {
    fn raise_at(this: &Rc<Self>, date: Instant) {
        let inner = Rc::clone(this);
        let handler = Rc::new(move |_| Self::call(&inner));
        this.host.arm(this.id, date, Ns(0), handler);
    }

    fn call(this: &Rc<Self>) {
        if this.is_gone.get() {
            return;
        }
        match this.handler.handle() {
            Handled::Yes => {}
            Handled::No => this.spurious.set(this.spurious.get() + 1),
            Handled::Forward if this.is_forwarded.replace(true) => {}
            Handled::Forward => {
                let inner = Rc::clone(this);
                let rest = Rc::new(move |inband: &Inband<'_>| {
                    inner.is_forwarded.set(false);
                    if !inner.is_gone.get() {
                        inner.handler.inband(inband);
                    }
                });
                this.host.do_inband(Queue::Forwarded, rest);
            }
        }
    }
}

impl<H: Handler> Drop for Interrupt<H> {
    fn drop(&mut self) {
        self.0.is_gone.set(true);
    }
}
