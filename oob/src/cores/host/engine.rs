// SPDX-License-Identifier: GPL-2.0-only

//! The scheduler: which thread runs next, and what falls due meanwhile.
//!
//! ```text
//!   turn:  1. calls the handlers that are due, then wakes the threads whose date has come
//!          2. of the threads that have a processor, one that has nothing to compute runs to its next service
//!          3. otherwise time moves: to the end of a computation, or to the next date
//!
//!   ranks: oob threads by priority | burst | in-band part of interrupts | in-band threads by the seed
//! ```

use super::machine::Host;
use super::sim_thread::{Class, SimThread, State};
use super::stages::Context;
use super::trace::Entry;
use crate::time::{Clock, Instant, Ns};
use std::cell::Cell;
use std::cmp::Reverse;
use std::fmt;
use std::ops::Range;
use std::rc::Rc;
use std::string::{String, ToString};
use std::vec::Vec;

/// After this many turns in which time did not move, the engine takes the run for an endless loop.
const STILL: u32 = 1_000_000;

/// The names of threads that did not end within the time limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stuck(pub Vec<String>);

impl fmt::Display for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not ended: {}", self.0.join(", "))
    }
}

/// What has a processor.
enum Runner {
    Thread(Rc<SimThread>),
    Burst,
}

/// Marks a thread as the one that runs, until it is dropped, also by a panic.
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

/// Runs `run` on one machine per seed. If `run` panics, prints the seed and the end of the trace.
pub fn explore(seeds: Range<u64>, run: impl Fn(&Host)) {
    struct PrintOnPanic<'a>(&'a Host);

    impl Drop for PrintOnPanic<'_> {
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
        let print_on_panic = PrintOnPanic(&host);
        run(print_on_panic.0);
    }
}

impl Host {
    /// Runs, up to `limit`, until all threads have ended and all functions queued for in-band have
    /// been called.
    ///
    /// # Errors
    ///
    /// [`Stuck`], with the names of the threads that have not ended.
    ///
    /// # Panics
    ///
    /// If a thread of the machine calls it.
    pub fn finish(&self, limit: Instant) -> Result<(), Stuck> {
        let unended = || -> Vec<String> {
            let threads = self.0.stages.threads.borrow();
            let all = threads.iter().filter(|s| !s.is_service && !s.has_ended());
            all.map(|thread| thread.name.to_string()).collect()
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

    /// A hash of the trace so far: which threads ran and woke, which handlers were called, and
    /// when.
    pub fn trace_digest(&self) -> u64 {
        self.0.stages.trace.borrow().digest()
    }

    /// Performs the next event up to `limit`. If there is none, moves time to `limit` (but not to
    /// [`Instant::NEVER`]) and returns `false`.
    pub(super) fn turn(&self, limit: Instant) -> bool {
        let stages = &self.0.stages;
        let still = stages.still.get() + 1;
        assert!(
            still < STILL,
            "a thread runs without end and time does not move"
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
                Runner::Thread(thread) if thread.left.get().0 == 0 => Some(thread),
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
            Runner::Thread(thread) => now.after(thread.left.get()),
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
                Runner::Thread(thread) => &thread.left,
                Runner::Burst => &stages.burst,
            };
            left.set(Ns(left.get().0.saturating_sub(span.0)));
        }
        self.0.now.set(now.max(date));
        is_something
    }

    /// Calls the handlers that are due. Returns whether there were any.
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

    /// Makes the threads ready whose date has come.
    fn expire(&self) {
        let threads = self.0.stages.threads.borrow();
        for thread in threads.iter() {
            match thread.state.get() {
                State::Asleep(date) if date <= self.now() => {
                    thread.state.set(State::Ready);
                    thread.order.set(self.order_of(thread.class));
                    self.note(Entry::Expire(thread.number));
                }
                State::Stalled(date) if date <= self.now() => thread.state.set(State::Ready),
                _ => {}
            }
        }
    }

    /// The next date at which a sleeping or stalled thread becomes ready.
    fn sleeps(&self) -> Option<Instant> {
        let threads = self.0.stages.threads.borrow();
        let dates = threads
            .iter()
            .filter_map(|thread| match thread.state.get() {
                State::Asleep(date) | State::Stalled(date) => Some(date),
                _ => None,
            });
        dates.min()
    }

    /// The threads, or the burst, that have a processor, by rank. While a handler runs, there is
    /// none.
    fn runners(&self) -> Vec<Runner> {
        let stages = &self.0.stages;
        if stages.handlers.get() > 0 {
            return Vec::new();
        }
        let threads = stages.threads.borrow();
        let ready = threads
            .iter()
            .filter(|thread| thread.class != Class::Outside && thread.state.get() == State::Ready);
        let mut all: Vec<_> = ready
            .map(|thread| {
                let rank = match thread.class {
                    Class::Oob => 0,
                    Class::InbandFirst => 2,
                    _ => 3,
                };
                let rank = (rank, Reverse(thread.priority.get()), thread.order.get());
                (rank, Runner::Thread(Rc::clone(thread)))
            })
            .collect();
        if stages.burst.get().0 > 0 {
            all.push(((1, Reverse(0), 0), Runner::Burst));
        }
        all.sort_by_key(|(rank, _)| *rank);
        all.truncate(stages.processors.get());
        all.into_iter().map(|(_, runner)| runner).collect()
    }

    fn resume(&self, thread: &Rc<SimThread>) {
        let stages = &self.0.stages;
        self.note(Entry::Run(thread.number));
        let running = Current::enter(&stages.current, thread.number);
        let has_ended = thread.go_on();
        drop(running);
        if has_ended {
            thread.state.set(State::Ended);
            self.note(Entry::End(thread.number));
            // The machine raises the event as a handler would, because it cannot wait.
            stages.handlers.set(stages.handlers.get() + 1);
            thread.ended.raise(self);
            stages.handlers.set(stages.handlers.get() - 1);
        } else if thread.state.get() == State::Ready {
            self.interfere(thread);
        }
    }

    /// The calling thread has interrupts off for `span`: computations on the other processors go
    /// on.
    pub(super) fn pass_elsewhere(&self, span: Ns) {
        let Context::Thread(me) = self.context() else {
            return;
        };
        if self.0.stages.processors.get() > 1 {
            for runner in self.runners() {
                match runner {
                    Runner::Thread(thread) if !Rc::ptr_eq(&thread, &me) => {
                        let left = thread.left.get().0.saturating_sub(span.0);
                        // The computation does not end yet: the thread's next service comes once
                        // interrupts are on again.
                        thread.left.set(Ns(left.max(thread.left.get().0.min(1))));
                    }
                    _ => {}
                }
            }
        }
    }
}
