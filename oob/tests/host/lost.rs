// SPDX-License-Identifier: GPL-2.0-only

//! Trying seeds finds a flag that loses a wake-up. The kit's own flag loses none.

use crate::{END, oob};
use oob::host::{Handled, Handler, Host, Interrupt};
use oob::latch::Latch;
use oob::threads::Park;
use oob::time::Instant;
use std::cell::Cell;
use std::rc::Rc;

/// The kit's flag, or one of two broken ones.
trait Flagged: Default + 'static {
    fn raise(&self, host: &Host);
    fn wait(&self, host: &Host);
}

#[derive(Default)]
struct Ours(Latch);

impl Flagged for Ours {
    fn raise(&self, host: &Host) {
        self.0.raise(host);
    }

    fn wait(&self, host: &Host) {
        self.0.wait_until(host, Instant::NEVER).unwrap();
    }
}

/// Checks for the event first and prepares its sleep only then: an event in between wakes no
/// thread.
#[derive(Default)]
struct LooksFirst {
    is_raised: Cell<bool>,
    waiter: Cell<Option<usize>>,
}

impl Flagged for LooksFirst {
    fn raise(&self, host: &Host) {
        self.is_raised.set(true);
        // SAFETY: the host looks a thread's number up in its list, so no number can make it touch
        // freed memory.
        unsafe { host.wake(|| self.waiter.get()) };
    }

    fn wait(&self, host: &Host) {
        self.waiter.set(Some(host.current()));
        while !self.is_raised.replace(false) {
            host.prepare();
            host.sleep_until(Instant::NEVER);
        }
    }
}

/// Prepares its sleep in time, but stores the waiter's number only after the check.
#[derive(Default)]
struct NamesItselfLate(LooksFirst);

impl Flagged for NamesItselfLate {
    fn raise(&self, host: &Host) {
        self.0.raise(host);
    }

    fn wait(&self, host: &Host) {
        loop {
            host.prepare();
            if self.0.is_raised.replace(false) {
                return host.cancel();
            }
            // Reading the clock is a service too, at which an interrupt can come.
            let _ = Park::now(host);
            self.0.waiter.set(Some(host.current()));
            host.sleep_until(Instant::NEVER);
            self.0.waiter.set(None);
        }
    }
}

struct Raiser<F>(Rc<F>, Host);

impl<F: Flagged> Handler for Raiser<F> {
    fn handle(&self) -> Handled {
        self.0.raise(&self.1);
        Handled::Yes
    }
}

/// Raises one event at a random point while one thread waits for it. Returns whether the thread saw
/// it.
fn sees<F: Flagged>(seed: u64) -> bool {
    let host = Host::seeded(seed);
    let flag = Rc::new(F::default());
    let line = Interrupt::new(&host, &host.inband(), Raiser(flag.clone(), host.clone()));
    line.raise_at_random(1);
    let host_ = host.clone();
    oob(&host, 50, move |_, _| flag.wait(&host_));
    host.finish(END).is_ok()
}

fn first_lost<F: Flagged>(seeds: u64) -> Option<u64> {
    (0..seeds).find(|seed| !sees::<F>(*seed))
}

#[test]
fn broken_flags_are_found_within_a_hundred_seeds() {
    let looks_first = first_lost::<LooksFirst>(100);
    let names_late = first_lost::<NamesItselfLate>(100);
    println!("lost at seeds {looks_first:?} and {names_late:?}");
    assert!(looks_first.is_some() && names_late.is_some());
}

#[test]
fn the_kits_flag_loses_no_event_in_ten_thousand_seeds() {
    assert_eq!(first_lost::<Ours>(10_000), None);
}
