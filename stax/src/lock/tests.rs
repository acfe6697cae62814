// SPDX-License-Identifier: GPL-2.0-only

//! The ends of the count, and what an epoch tells.

use super::*;
use crate::queue::Queue;
use oob::stage::{Inband, Oob};
use std::sync::Mutex;

/// Its threads never really wait.
#[derive(Default)]
struct Never(Mutex<Queue>);

impl Backend for Never {
    fn with_queue<R>(&self, f: impl FnOnce(&mut Queue) -> R) -> R {
        f(&mut self.0.lock().unwrap())
    }

    fn wake_all(&self, _: Side) {}
}

impl<S: Stage> Sleep<S> for Never {
    fn sleep(&self, _: &S, _: Instant, ready: impl Fn() -> bool) -> End {
        if ready() { End::Woken } else { End::TimedOut }
    }
}

fn entered(count: u32) -> Stax<(), Never> {
    let stax = Stax::new((), Never::default());
    stax.gate.store(count, Ordering::Relaxed);
    stax
}

#[test]
fn a_full_gate_is_an_error_and_stays_as_it_is() {
    // SAFETY: nothing here blocks.
    let stage = unsafe { Oob::assume() };
    // SAFETY: as above.
    let other = unsafe { Inband::assume() };
    let stax = entered(Gate::MAX - 1);
    let guard = stax.lock(&stage).unwrap();
    let full = stax.load();
    assert_eq!(full.count(), Gate::MAX);
    assert_eq!(guard.nest().map(drop), Err(NestError::Overflow));
    assert_eq!(stax.lock(&stage).map(drop), Err(LockError::Overflow));
    assert_eq!(stax.try_lock(&stage).map(drop), Err(TryLockError::Overflow));
    // To the other stage a full gate is a busy one.
    assert_eq!(stax.lock(&other).map(drop), Err(LockError::TimedOut));
    assert_eq!(stax.load(), full);
    drop(guard);
    assert_eq!(stax.load().count(), Gate::MAX - 1);
}

#[test]
fn as_many_waiters_as_can_be_counted_are_an_error() {
    // SAFETY: nothing here blocks.
    let stage = unsafe { Inband::assume() };
    let stax = entered(1);
    stax.backend
        .with_queue(|queue| queue.set_waiting(Side::Inband, Gate::MAX));
    assert_eq!(stax.lock(&stage).map(drop), Err(LockError::Overflow));
}

#[test]
fn those_who_do_not_fit_beside_the_others_wait_for_the_end_of_the_phase() {
    let mut queue = Queue::new();
    queue.set_waiting(Side::Oob, 2);
    let full = Gate::from_bits(Gate::MAX - 1).with_waiter(Side::Oob);
    assert_eq!(queue.grant(full), None);
    let one_less = Gate::from_bits(Gate::MAX - 2).with_waiter(Side::Oob);
    let (side, gate) = queue.grant(one_less).unwrap();
    assert_eq!((side, gate.bits()), (Side::Oob, Gate::MAX));
    queue.set_waiting(Side::Oob, Gate::MAX);
    let free = Gate::FREE.with_waiter(Side::Oob);
    assert_eq!(queue.grant(free).unwrap().1.count(), Gate::MAX);
}

#[test]
fn an_epoch_tells_a_hand_over_from_the_end() {
    for ticket in [Epoch::START, Epoch::from_bits(usize::MAX - 1)] {
        assert_eq!(ticket.fate(ticket), Fate::Waiting);
        assert_eq!(ticket.closed().fate(ticket), Fate::Dead);
        assert_eq!(ticket.next().fate(ticket), Fate::Granted);
        assert_eq!(ticket.next().closed().fate(ticket), Fate::Granted);
    }
}
