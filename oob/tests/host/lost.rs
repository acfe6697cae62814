// SPDX-License-Identifier: GPL-2.0-only

//! A wake-up that is lost is found by trying seeds; with the kit's own flag none is.

use crate::{END, oob};
use oob::host::{Handled, Handler, Host, Interrupt};
use oob::latch::{Latch, Park};
use oob::time::Instant;
use std::cell::Cell;
use std::rc::Rc;

/// A flag as the kit has it, or one of two that are broken.
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

/// Looks, and prepares to sleep only then: an event in between wakes nobody.
#[derive(Default)]
struct LooksFirst {
    is_raised: Cell<bool>,
    waiter: Cell<Option<usize>>,
}

impl Flagged for LooksFirst {
    fn raise(&self, host: &Host) {
        self.is_raised.set(true);
        // SAFETY: any number will do for a host's thread.
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

/// Prepares in time, but says who waits only after its look.
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
            // Asking for the date is a service, too.
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

/// One event, at any point, and one thread that waits for it; whether it saw the event.
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
fn the_kits_flag_loses_nothing_in_ten_thousand() {
    assert_eq!(first_lost::<Ours>(10_000), None);
}
