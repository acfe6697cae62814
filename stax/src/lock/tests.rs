// SPDX-License-Identifier: GPL-2.0-only

//! The ends of the count, the meaning of an epoch, and the cost of an uncontended pair.

use super::*;
use crate::queue::Queue;
use crate::sync::made_by;
use oob::stage::{Inband, Oob};
use std::sync::Mutex;

/// A backend whose threads never really sleep.
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
    // SAFETY: the test has one thread, which never blocks.
    let stage = unsafe { Oob::assume() };
    // SAFETY: the test has one thread, which never blocks and may sleep.
    let other = unsafe { Inband::assume() };
    let stax = entered(Gate::MAX - 1);
    let guard = stax.lock(&stage).unwrap();
    let full = stax.load();
    assert_eq!(full.count(), Gate::MAX);
    assert_eq!(guard.nest().map(drop), Err(NestError::Overflow));
    assert_eq!(stax.lock(&stage).map(drop), Err(LockError::Overflow));
    assert_eq!(stax.try_lock(&stage).map(drop), Err(TryLockError::Overflow));
    // The other stage finds a full gate busy.
    assert_eq!(stax.lock(&other).map(drop), Err(LockError::TimedOut));
    assert_eq!(stax.load(), full);
    drop(guard);
    assert_eq!(stax.load().count(), Gate::MAX - 1);
}

#[test]
fn one_waiter_more_than_the_count_holds_is_an_error() {
    // SAFETY: the test has one thread, which never blocks.
    let stage = unsafe { Inband::assume() };
    let stax = entered(1);
    stax.backend
        .with_queue(|queue| queue.set_waiting(Side::Inband, Gate::MAX));
    assert_eq!(stax.lock(&stage).map(drop), Err(LockError::Overflow));
}

#[test]
fn waiters_that_do_not_fit_beside_those_inside_wait_for_the_end_of_the_phase() {
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

/// A backend that an uncontended lock never calls.
struct Unneeded;

impl Backend for Unneeded {
    fn with_queue<R>(&self, _: impl FnOnce(&mut Queue) -> R) -> R {
        panic!("the lock uses the queue");
    }

    fn wake_all(&self, _: Side) {
        panic!("the lock wakes threads");
    }
}

impl<S: Stage> Sleep<S> for Unneeded {
    fn sleep(&self, _: &S, _: Instant, _: impl Fn() -> bool) -> End {
        panic!("the lock sleeps");
    }
}

#[test]
fn an_uncontended_pair_makes_two_read_modify_writes() {
    // SAFETY: the test has one thread, which waits for no other.
    let oob = unsafe { Oob::assume() };
    // SAFETY: the test has one thread, which waits for no other and may sleep.
    let inband = unsafe { Inband::assume() };
    let stax = Stax::new((), Unneeded);
    for _ in 0..3 {
        // Each stage finds the gate as the other stage left it, and then as its own stage left it.
        for _ in 0..2 {
            assert_eq!(made_by(|| drop(stax.lock(&oob).unwrap())), 2);
        }
        for _ in 0..2 {
            assert_eq!(made_by(|| drop(stax.lock(&inband).unwrap())), 2);
        }
        assert_eq!(made_by(|| drop(stax.try_lock(&oob).unwrap())), 2);
        // An entry beside others of the same stage, nested or not, also takes two.
        let inside = stax.lock(&inband).unwrap();
        assert_eq!(made_by(|| drop(stax.lock(&inband).unwrap())), 2);
        assert_eq!(made_by(|| drop(inside.nest().unwrap())), 2);
    }
}
