// SPDX-License-Identifier: GPL-2.0-only

//! What in-band does beside its threads: at points that the seed chooses it gets in the way.
//!
//! | what | whom it delays |
//! | --- | --- |
//! | burst: interrupts and soft interrupts of in-band, other processes | all in-band threads |
//! | stall: a page fault, a thread that waits for a disk | the in-band thread that it happens to |
//! | hard off: in-band code under a hard lock, as the kit's own | everybody, for the span that is stated |
//! | interrupts at any point, [`super::Interrupt::raise_at_random`] | whatever the handler does |

use super::Host;
use super::threads::{Class, Slot, State};
use super::trace::Entry;
use crate::time::{Clock, Ns};
use std::rc::Rc;

/// How much of it there is; each span is the longest one, and 0 for none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interference {
    /// Something happens at one in so many points; 0: never.
    pub odds: u64,
    /// In-band computing that comes before all in-band threads.
    pub burst: Ns,
    /// An in-band thread does not go on.
    pub stall: Ns,
    /// In-band code has interrupts off.
    pub hard_off: Ns,
}

impl Interference {
    /// None.
    pub const NONE: Self = Self {
        odds: 0,
        burst: Ns(0),
        stall: Ns(0),
        hard_off: Ns(0),
    };
}

/// An interrupt that comes at any point, so many times.
pub(super) struct RandomIrq {
    pub(super) left: u32,
    pub(super) raise: Rc<dyn Fn()>,
}

/// An interrupt that may come at any point comes at one in so many, and an in-band thread loses its turn as often.
const ODDS: u64 = 4;

impl Host {
    /// Sets what in-band does beside its threads, from now on.
    pub fn disturb(&self, interference: Interference) {
        self.0.stages.interference.set(interference);
    }

    /// A thread has come to a point, and is ready to go on.
    pub(super) fn interfere(&self, slot: &Slot) {
        let stages = &self.0.stages;
        if !stages.random_irqs.borrow().is_empty() && stages.trace.borrow_mut().one_in(ODDS) {
            self.fire_random_irq();
        }
        if slot.class == Class::Inband && stages.trace.borrow_mut().one_in(ODDS) {
            slot.order.set(self.order_of(Class::Inband));
        }
        let interference = stages.interference.get();
        if stages.trace.borrow_mut().one_in(interference.odds) {
            let kind = match slot.class {
                Class::Inband => self.random(2),
                // The other two are things that in-band code does.
                _ => 0,
            };
            self.inject(slot, interference, kind);
        }
    }

    fn inject(&self, slot: &Slot, interference: Interference, kind: u64) {
        let stages = &self.0.stages;
        let random = |most: Ns| Ns(self.random(most.0));
        match kind {
            0 => {
                let span = random(interference.burst);
                stages.burst.set(Ns(stages.burst.get().0 + span.0));
                self.note(Entry::Burst(span));
            }
            1 => {
                let span = random(interference.stall);
                slot.state.set(State::Stalled(self.now().after(span)));
                self.note(Entry::Stall(slot.number, span));
            }
            _ => {
                let span = random(interference.hard_off);
                self.elapse(span);
                self.note(Entry::HardOff(span));
            }
        }
    }

    /// `raise` is called `times` times, at points that the seed chooses.
    pub(super) fn add_random_irq(&self, times: u32, raise: Rc<dyn Fn()>) {
        if times > 0 {
            let random_irqs = RandomIrq { left: times, raise };
            self.0.stages.random_irqs.borrow_mut().push(random_irqs);
        }
    }

    /// One of the interrupts that come at any point.
    fn fire_random_irq(&self) {
        let raise = {
            let stages = &self.0.stages;
            let mut random_irqs = stages.random_irqs.borrow_mut();
            let Some(last) = random_irqs.len().checked_sub(1) else {
                return;
            };
            let chosen = self.random(last as u64) as usize;
            random_irqs[chosen].left -= 1;
            match random_irqs[chosen].left {
                0 => random_irqs.swap_remove(chosen).raise,
                _ => Rc::clone(&random_irqs[chosen].raise),
            }
        };
        raise();
    }

    /// The same where nothing else is left to happen; whether there was one.
    pub(super) fn fire_last_random_irq(&self) -> bool {
        let is_one =
            self.0.stages.handlers.get() == 0 && !self.0.stages.random_irqs.borrow().is_empty();
        if is_one {
            self.fire_random_irq();
        }
        is_one
    }
}
