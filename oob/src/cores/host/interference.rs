// SPDX-License-Identifier: GPL-2.0-only

//! Interference: what in-band code does beside its threads, at points that the seed chooses.
//!
//! | interference | delays |
//! | --- | --- |
//! | burst: in-band interrupts and soft interrupts, other processes | all in-band threads |
//! | stall: a page fault, a wait for a disk | that one in-band thread |
//! | hard off: in-band code under a hard lock, such as the kit's | all threads, for the given span |
//! | interrupts at any point, [`super::Interrupt::raise_at_random`] | depends on the handler |

use super::machine::Host;
use super::sim_thread::{Class, SimThread, State};
use super::stages::{Interference, RandomIrq};
use super::trace::Entry;
use crate::time::{Clock, Ns};
use std::rc::Rc;

/// A random interrupt comes at one of this many points, and an in-band thread loses its turn as
/// often.
const ODDS: u64 = 4;

impl Host {
    /// Sets the interference from now on.
    pub fn disturb(&self, interference: Interference) {
        self.0.stages.interference.set(interference);
    }

    /// Disturbs a thread that has come to a point and is ready to go on.
    pub(super) fn interfere(&self, thread: &SimThread) {
        let stages = &self.0.stages;
        if !stages.random_irqs.borrow().is_empty() && stages.trace.borrow_mut().one_in(ODDS) {
            self.fire_random_irq();
        }
        if thread.class == Class::Inband && stages.trace.borrow_mut().one_in(ODDS) {
            thread.order.set(self.order_of(Class::Inband));
        }
        let interference = stages.interference.get();
        if stages.trace.borrow_mut().one_in(interference.odds) {
            let kind = match thread.class {
                Class::Inband => self.random(2),
                // Only an in-band thread stalls or turns interrupts off.
                _ => 0,
            };
            self.inject(thread, interference, kind);
        }
    }

    fn inject(&self, thread: &SimThread, interference: Interference, kind: u64) {
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
                thread.state.set(State::Stalled(self.now().after(span)));
                self.note(Entry::Stall(thread.number, span));
            }
            _ => {
                let span = random(interference.hard_off);
                self.elapse(span);
                self.note(Entry::HardOff(span));
            }
        }
    }

    /// Calls `raise` `times` times, at points that the seed chooses.
    pub(super) fn add_random_irq(&self, times: u32, raise: Rc<dyn Fn()>) {
        if times > 0 {
            let random_irqs = RandomIrq { left: times, raise };
            self.0.stages.random_irqs.borrow_mut().push(random_irqs);
        }
    }

    /// Raises one of the random interrupts.
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

    /// Raises one of the random interrupts when nothing else is left to happen. Returns whether
    /// there was one.
    pub(super) fn fire_last_random_irq(&self) -> bool {
        let is_one =
            self.0.stages.handlers.get() == 0 && !self.0.stages.random_irqs.borrow().is_empty();
        if is_one {
            self.fire_random_irq();
        }
        is_one
    }
}
