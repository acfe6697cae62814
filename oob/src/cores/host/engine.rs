// SPDX-License-Identifier: GPL-2.0-only

//! Who runs next, and what falls due meanwhile.
//!
//! ```text
//!   turn:  1. handlers that are due, then threads whose date has come
//!          2. of the threads that have a processor, one that has nothing to compute goes on to its next service
//!          3. else time moves: to the end of a computation, or to the next date
//!
//!   ranks: oob threads by priority | burst | in-band part of interrupts | in-band threads by the seed
//! ```

use super::Host;
use super::threads::{Class, Context, Slot, State};
use super::trace::Entry;
use crate::time::{Clock, Instant, Ns};
use std::cell::Cell;
use std::cmp::Reverse;
use std::fmt;
use std::ops::Range;
use std::rc::Rc;
use std::string::{String, ToString};
use std::vec::Vec;

/// So many turns without time moving are taken for a loop that never ends.
const STILL: u32 = 1_000_000;

/// Threads that have not ended, and will not in the time given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stuck(pub Vec<String>);

impl fmt::Display for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not ended: {}", self.0.join(", "))
    }
}

/// Who has a processor.
enum Runner {
    Thread(Rc<Slot>),
    Burst,
}

/// Who runs; nobody again, also after a panic.
struct Current<'a>(&'a Cell<Option<usize>>);

impl<'a> Current<'a> {
    fn enter(current: &'a Cell<Option<usize>>, number: usize) -> Self {
        current.set(Some(number));
        Self(current)
    }
}

impl Drop for Current<'_> {
    fn drop(&mut self) {
        self.0.set(None);
    }
}

/// Runs `run` on one machine per seed. Where one panics, the seed and the end of its trace are printed.
pub fn explore(seeds: Range<u64>, run: impl Fn(&Host)) {
    struct Told<'a>(&'a Host);

    impl Drop for Told<'_> {
        fn drop(&mut self) {
            if std::thread::panicking() {
                let trace = self.0.0.stages.trace.borrow();
                let seed = trace.seed();
                std::eprintln!("{}seed {seed}: failed, see above", trace.last_lines());
            }
        }
    }

    for seed in seeds {
        let host = Host::seeded(seed);
        let told = Told(&host);
        run(told.0);
    }
}

impl Host {
    /// Runs until all threads have ended, and all that was handed to in-band is done, up to `limit`.
    ///
    /// # Errors
    ///
    /// [`Stuck`], with the names of the threads that have not ended.
    ///
    /// # Panics
    ///
    /// In a thread of the machine.
    pub fn finish(&self, limit: Instant) -> Result<(), Stuck> {
        let unended = || -> Vec<String> {
            let slots = self.0.stages.slots.borrow();
            let all = slots.iter().filter(|s| !s.is_service && !s.has_ended());
            all.map(|slot| slot.name.to_string()).collect()
        };
        let is_outside = matches!(self.context(), Context::Outside);
        assert!(is_outside, "the machine runs already");
        loop {
            let names = unended();
            if names.is_empty() && self.is_inband_done() {
                self.retire_workers();
                return Ok(());
            }
            if !self.turn(limit) {
                return Err(Stuck(names));
            }
        }
    }

    /// A number that stands for the whole trace so far: who ran, who woke, which handlers were called, and when.
    pub fn trace_digest(&self) -> u64 {
        self.0.stages.trace.borrow().digest()
    }

    /// Does the next thing that happens up to `limit`. Where nothing does, time moves there (but not to
    /// [`Instant::NEVER`]), and the result is `false`.
    pub(super) fn turn(&self, limit: Instant) -> bool {
        let stages = &self.0.stages;
        let still = stages.still.get() + 1;
        assert!(
            still < STILL,
            "a thread goes on for ever and lets no time go by"
        );
        stages.still.set(still);
        if self.deliver() {
            return true;
        }
        self.expire();
        let runners = self.runners();
        let able: Vec<_> = runners
            .iter()
            .filter_map(|runner| match runner {
                Runner::Thread(slot) if slot.left.get().0 == 0 => Some(slot),
                _ => None,
            })
            .collect();
        if let Some(last) = able.len().checked_sub(1) {
            let chosen = match last {
                0 => 0,
                _ => self.random(last as u64) as usize,
            };
            self.resume(able[chosen]);
            return true;
        }
        let now = self.now();
        let ends = runners.iter().map(|runner| match runner {
            Runner::Thread(slot) => now.after(slot.left.get()),
            Runner::Burst => now.after(stages.burst.get()),
        });
        let sleeps = self.sleeps();
        let next = self
            .next_event()
            .into_iter()
            .chain(sleeps)
            .chain(ends)
            .min();
        let is_something = next.is_some_and(|next| next <= limit && next != Instant::NEVER);
        let date = match next {
            Some(next) if is_something => next,
            None | Some(Instant::NEVER) if self.fire_last_random_irq() => return true,
            _ if limit == Instant::NEVER => return false,
            _ => limit,
        };
        if date > now {
            stages.still.set(0);
        }
        let span = date.since(now);
        for runner in &runners {
            let left = match runner {
                Runner::Thread(slot) => &slot.left,
                Runner::Burst => &stages.burst,
            };
            left.set(Ns(left.get().0.saturating_sub(span.0)));
        }
        self.0.now.set(now.max(date));
        is_something
    }

    /// Calls the handlers that are due; whether there were any.
    pub(super) fn deliver(&self) -> bool {
        if self.next_event().is_none_or(|next| next > self.now()) {
            return false;
        }
        let handlers = &self.0.stages.handlers;
        handlers.set(handlers.get() + 1);
        self.advance_devices();
        while let Some((timer, handler, missed)) = self.pop_due() {
            self.note(Entry::Handler(timer));
            handler(missed);
        }
        handlers.set(handlers.get() - 1);
        true
    }

    /// Threads whose date has come are ready.
    fn expire(&self) {
        let slots = self.0.stages.slots.borrow();
        for slot in slots.iter() {
            match slot.state.get() {
                State::Asleep(date) if date <= self.now() => {
                    slot.state.set(State::Ready);
                    slot.order.set(self.order_of(slot.class));
                    self.note(Entry::Expire(slot.number));
                }
                State::Stalled(date) if date <= self.now() => slot.state.set(State::Ready),
                _ => {}
            }
        }
    }

    /// The next date at which a thread is ready again.
    fn sleeps(&self) -> Option<Instant> {
        let slots = self.0.stages.slots.borrow();
        let dates = slots.iter().filter_map(|slot| match slot.state.get() {
            State::Asleep(date) | State::Stalled(date) => Some(date),
            _ => None,
        });
        dates.min()
    }

    /// Those that have a processor, by rank. In a handler nobody has.
    fn runners(&self) -> Vec<Runner> {
        let stages = &self.0.stages;
        if stages.handlers.get() > 0 {
            return Vec::new();
        }
        let slots = stages.slots.borrow();
        let ready = slots
            .iter()
            .filter(|slot| slot.class != Class::Outside && slot.state.get() == State::Ready);
        let mut all: Vec<_> = ready
            .map(|slot| {
                let rank = match slot.class {
                    Class::Oob => 0,
                    Class::InbandFirst => 2,
                    _ => 3,
                };
                let rank = (rank, Reverse(slot.priority.get()), slot.order.get());
                (rank, Runner::Thread(Rc::clone(slot)))
            })
            .collect();
        if stages.burst.get().0 > 0 {
            all.push(((1, Reverse(0), 0), Runner::Burst));
        }
        all.sort_by_key(|(rank, _)| *rank);
        all.truncate(stages.processors.get());
        all.into_iter().map(|(_, runner)| runner).collect()
    }

    fn resume(&self, slot: &Rc<Slot>) {
        let stages = &self.0.stages;
        self.note(Entry::Run(slot.number));
        let running = Current::enter(&stages.current, slot.number);
        let has_ended = slot.go_on();
        drop(running);
        if has_ended {
            slot.state.set(State::Ended);
            self.note(Entry::End(slot.number));
            // As a handler would: the machine itself waits for nothing.
            stages.handlers.set(stages.handlers.get() + 1);
            slot.ended.raise(self);
            stages.handlers.set(stages.handlers.get() - 1);
        } else if slot.state.get() == State::Ready {
            self.interfere(slot);
        }
    }

    /// A thread has interrupts off for `span`: on the other processors what was being computed goes on.
    pub(super) fn pass_elsewhere(&self, span: Ns) {
        let Context::Thread(me) = self.context() else {
            return;
        };
        if self.0.stages.processors.get() > 1 {
            for runner in self.runners() {
                match runner {
                    Runner::Thread(slot) if !Rc::ptr_eq(&slot, &me) => {
                        let left = slot.left.get().0.saturating_sub(span.0);
                        // Not to its end: it has its next service once interrupts are on again.
                        slot.left.set(Ns(left.max(slot.left.get().0.min(1))));
                    }
                    _ => {}
                }
            }
        }
    }
}
