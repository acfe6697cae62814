// SPDX-License-Identifier: GPL-2.0-only

//! The lock's own protocol: the transitions of `gate.rs` and `queue.rs`. Each access is a step.
//!
//! ```text
//!   Idle --load--> Entering --CAS--> Inside(1) <--CAS-- Nesting <--load-- Inside(1)
//!     |                                 |  leave (one decrement)    CAS --> Inside(2)
//!     |  refused                        v
//!     '--> Want(Arrive) --> Holding     Idle, or Want(Settle) --> Holding
//!                              |
//!                              '--> Checking --> Asleep --wake_all--> Checking --moved--> Inside(1)
//!                                       '-----------'--deadline, signal--> Ended --> Want(Withdraw)
//! ```
//!
//! These steps may come at any time: an idle thread begins to lock (again and again) or destroys
//! the lock; a thread inside nests; a refused thread turns out to have only tried; a sleeper is
//! woken without a reason, reaches its deadline, or gets a signal. A spinning thread reads its
//! epoch over and over; that is a step only once the epoch has moved.
//!
//! Taking the queue lock and the first access under it are one step, and so are the last access and
//! the release: no thread can see the difference. With `merge`, a load and the compare-and-swap
//! that succeeds on its value are one step, too. If the swap fails, the load might as well have
//! come later.

use crate::engine::{Model, Step};
use crate::world::{At, MOST, SIDES, World, index};
use stax::gate::{Gate, Refusal};
use stax::queue::{Fate, Outcome, QueueOp, Task};
use stax::stage::Side;

/// A fault put into the protocol, which the search must find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// The last exit ignores the waiters.
    LeaveForgetsWaiters,
    /// A thread that gives up does not settle, although threads wait behind it.
    WithdrawForgetsToSettle,
    /// A hand-over wakes no thread.
    GrantForgetsToWake,
    /// New callers pass the other stage's waiters.
    NewcomersPass,
    /// A thread that gives up does not check whether it was granted entry.
    WithdrawForgetsGrant,
    /// Destroying wakes no thread.
    CloseForgetsToWake,
}

#[derive(Clone, Copy)]
pub(crate) struct Ours {
    pub(crate) oob: usize,
    pub(crate) inband: usize,
    /// Measures the first thread of this side: while it waits, the other stage may begin at most
    /// this many sections.
    pub(crate) measure: Option<(Side, u8)>,
    /// In-band threads spin: no thread wakes them, and no signal reaches them.
    pub(crate) spin: bool,
    pub(crate) merge: bool,
    pub(crate) fault: Fault,
}

impl Ours {
    fn side(&self, thread: usize) -> Side {
        SIDES[usize::from(thread >= self.oob)]
    }

    fn len(&self) -> usize {
        self.oob + self.inband
    }

    fn pack(&self, world: &World) -> u128 {
        world.pack(self.oob, self.inband, self.measured())
    }

    fn measured(&self) -> Option<usize> {
        self.measure.map(|(side, _)| match side {
            Side::Oob => 0,
            Side::Inband => self.oob,
        })
    }

    fn spins(&self, side: Side) -> bool {
        self.spin && side == Side::Inband
    }

    fn enter(&self, seen: Gate, side: Side) -> Result<Gate, Refusal> {
        match seen.enter(side) {
            Err(Refusal::Busy) if self.fault == Fault::NewcomersPass => SIDES
                .into_iter()
                .fold(seen, Gate::without_waiter)
                .enter(side)
                .map(|new| {
                    SIDES
                        .into_iter()
                        .filter(|side| seen.waits(*side))
                        .fold(new, Gate::with_waiter)
                }),
            result => result,
        }
    }

    /// Whether the measured thread waits and has not been granted entry.
    fn measured_waits(&self, world: &World) -> bool {
        let Some(thread) = self.measured() else {
            return false;
        };
        let epoch = world.epochs[index(self.side(thread))];
        let waits = |ticket| epoch.fate(ticket) == Fate::Waiting;
        match world.threads[thread] {
            At::Holding => {
                matches!(world.op, Some(QueueOp { outcome: Outcome::Wait(ticket), .. }) if waits(ticket))
            }
            at => at.ticket().is_some_and(waits),
        }
    }

    /// Counts that `entries` threads of `side` begin a section.
    fn begin(&self, world: &mut World, side: Side, entries: u32) -> Result<(), String> {
        match self.measure {
            Some((measured, most)) if measured != side && self.measured_waits(world) => {
                world.begun += entries as u8;
                match world.begun > most {
                    true => Err("a waiter was passed too often".into()),
                    false => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    /// A thread enters by itself.
    fn enters(&self, world: &mut World, side: Side) -> Result<At, String> {
        if SIDES.iter().any(|side| world.queue.waiting(*side) != 0) {
            return Err("a newcomer passed a waiter".into());
        }
        self.begin(world, side, 1)?;
        Ok(At::Inside(1))
    }

    fn outside_or(fate: Fate, waiting: At) -> At {
        match fate {
            Fate::Granted => At::Inside(1),
            Fate::Dead => At::Idle,
            Fate::Waiting => waiting,
        }
    }

    fn swap_in(&self, world: &mut World, side: Side, seen: Gate) -> Result<At, String> {
        match self.enter(seen, side) {
            Ok(new) if world.gate == seen => {
                world.gate = new;
                self.enters(world, side)
            }
            Ok(_) => Ok(At::Entering(world.gate)),
            Err(Refusal::Busy) => Ok(At::Want(Task::Arrive(side))),
            Err(_) => Ok(At::Idle),
        }
    }

    fn swap_nested(world: &mut World, seen: Gate) -> At {
        match seen.nest() {
            Some(new) if world.gate == seen => {
                world.gate = new;
                At::Inside(2)
            }
            Some(_) => At::Nesting(world.gate),
            None => At::Inside(1),
        }
    }

    fn leave(&self, world: &mut World, depth: u8) -> At {
        let before = world.gate;
        world.gate = Gate::from_bits(before.bits() - 1);
        if before.must_hand_over() && self.fault != Fault::LeaveForgetsWaiters {
            return At::Want(Task::Settle);
        }
        match depth {
            1 => At::Idle,
            _ => At::Inside(depth - 1),
        }
    }

    /// One step under the queue lock.
    fn hold(&self, world: &mut World, mut op: QueueOp) -> Result<At, String> {
        let first = op.seen.is_none();
        self.hold_once(world, &mut op)?;
        if self.merge && first && op.seen.is_some() && op.task != Task::Done {
            self.hold_once(world, &mut op)?;
        }
        if op.task != Task::Done {
            world.op = Some(op);
            return Ok(At::Holding);
        }
        world.op = None;
        match op.outcome {
            Outcome::Entered => Ok(At::Inside(1)),
            Outcome::Wait(ticket) => Ok(At::Checking(ticket)),
            Outcome::Done | Outcome::Dead | Outcome::Full | Outcome::Withdrawn => Ok(At::Idle),
        }
    }

    fn hold_once(&self, world: &mut World, op: &mut QueueOp) -> Result<(), String> {
        let before = *op;
        let mut queue = world.queue;
        world.woken = None;
        if let (Task::Withdraw(side, _), Fault::WithdrawForgetsGrant) = (op.task, self.fault) {
            op.task = Task::Withdraw(side, world.epochs[index(side)]);
        }
        op.step(&mut queue, world);
        let waiting = std::mem::replace(&mut world.queue, queue);
        match (before.task, op.task) {
            (Task::Settle, Task::Move(side, _)) => {
                let other = side.other();
                if waiting.waiting(other) != 0 {
                    if world.passed[index(other)] {
                        return Err("a stage was granted entry twice while the other waited".into());
                    }
                    world.passed[index(other)] = true;
                }
                self.begin(world, side, waiting.waiting(side))?;
            }
            (Task::Arrive(side), Task::Done) if op.outcome == Outcome::Entered => {
                self.enters(world, side)?;
            }
            (Task::Withdraw(..), Task::Settle) if self.fault == Fault::WithdrawForgetsToSettle => {
                op.task = Task::Done;
            }
            _ => {}
        }
        let forgets = match self.fault {
            Fault::GrantForgetsToWake => matches!(before.task, Task::Wake(_, false)),
            Fault::CloseForgetsToWake => matches!(before.task, Task::Wake(_, true)),
            _ => false,
        };
        if let Some(side) = world.woken.filter(|_| !forgets) {
            for thread in (0..self.len()).filter(|thread| self.side(*thread) == side) {
                if let At::Asleep(ticket) = world.threads[thread] {
                    world.threads[thread] = At::Checking(ticket);
                }
            }
        }
        Ok(())
    }

    /// The next step of a thread that is in the middle of a call.
    fn go_on(&self, world: &mut World, thread: usize) -> Option<Result<At, String>> {
        let side = self.side(thread);
        let epoch = world.epochs[index(side)];
        Some(match world.threads[thread] {
            At::Idle | At::Asleep(_) => return None,
            At::Entering(seen) => self.swap_in(world, side, seen),
            At::Nesting(seen) => Ok(Self::swap_nested(world, seen)),
            At::Want(_) if world.op.is_some() => return None,
            At::Want(task) => self.hold(world, QueueOp::new(task)),
            At::Holding => self.hold(world, world.op?),
            At::Checking(ticket) if self.spins(side) && epoch.fate(ticket) == Fate::Waiting => {
                return None;
            }
            At::Checking(ticket) => Ok(Self::outside_or(epoch.fate(ticket), At::Asleep(ticket))),
            At::Ended(ticket) => Ok(Self::outside_or(
                epoch.fate(ticket),
                At::Want(Task::Withdraw(side, ticket)),
            )),
            At::Inside(depth) => Ok(self.leave(world, depth)),
        })
    }

    /// The steps that a thread may make, or that may happen to it.
    fn choices(&self, world: &World, thread: usize) -> Vec<(&'static str, At)> {
        match world.threads[thread] {
            At::Idle => vec![
                ("reads the gate, to lock", At::Entering(world.gate)),
                ("destroys", At::Want(Task::Close)),
            ],
            At::Inside(1) => vec![("reads the gate, to nest", At::Nesting(world.gate))],
            At::Asleep(ticket) => vec![
                ("is woken without a reason", At::Checking(ticket)),
                ("deadline", At::Ended(ticket)),
                ("signal", At::Ended(ticket)),
            ],
            At::Checking(ticket) if self.spins(self.side(thread)) => {
                vec![("deadline", At::Ended(ticket))]
            }
            At::Checking(ticket) => vec![
                ("deadline", At::Ended(ticket)),
                ("signal", At::Ended(ticket)),
            ],
            At::Want(Task::Arrive(_)) => vec![("only tried", At::Idle)],
            _ => vec![],
        }
    }

    fn check(&self, world: &World) -> Result<(), String> {
        let mut inside = [0; 2];
        let mut entries = 0;
        let mut waiting = [0; 2];
        for thread in 0..self.len() {
            let side = index(self.side(thread));
            match world.threads[thread] {
                At::Inside(depth) => {
                    inside[side] += 1;
                    entries += u32::from(depth);
                }
                At::Nesting(_) => {
                    inside[side] += 1;
                    entries += 1;
                }
                at => match at.ticket().map(|ticket| world.epochs[side].fate(ticket)) {
                    Some(Fate::Granted) => entries += 1,
                    Some(Fate::Waiting) => waiting[side] += 1,
                    Some(Fate::Dead) | None => {}
                },
            }
        }
        if inside[0] > 0 && inside[1] > 0 {
            return Err("both stages are inside".into());
        }
        if world.op.is_some() {
            return Ok(());
        }
        if world.gate.count() != entries {
            return Err("the count is wrong".into());
        }
        for side in SIDES {
            let waits = waiting[index(side)];
            if world.queue.waiting(side) != waits || world.gate.waits(side) != (waits > 0) {
                return Err("the waiters are counted wrongly".into());
            }
        }
        let owner = world.gate.owner();
        if entries > 0 && waiting[index(owner)] > 0 && waiting[index(owner.other())] == 0 {
            return Err("a thread waits for no other thread".into());
        }
        Ok(())
    }
}

impl Model for Ours {
    fn start(&self) -> u128 {
        self.pack(&World::new())
    }

    fn next(&self, state: u128, steps: &mut Vec<Step>) -> Result<(), String> {
        let world = World::unpack(state, self.oob);
        self.check(&world)?;
        let mut push = |mut world: World, thread, at, must, what| {
            world.threads[thread] = at;
            for side in SIDES {
                world.passed[index(side)] &= world.queue.waiting(side) != 0;
            }
            if !self.measured_waits(&world) {
                world.begun = 0;
            }
            steps.push(Step {
                to: self.pack(&world),
                must,
                what,
                who: ["oob", "in-band"][usize::from(thread >= self.oob)],
            });
        };
        let mut last = None;
        for thread in 0..self.len().min(MOST) {
            let here = (self.side(thread), world.threads[thread]);
            // Two threads of one stage in the same state have the same steps.
            if last.replace(here) == Some(here)
                && self
                    .measured()
                    .is_none_or(|measured| measured + 1 != thread)
            {
                continue;
            }
            let mut after = world;
            if let Some(at) = self.go_on(&mut after, thread) {
                push(after, thread, at?, true, "goes on");
            }
            for (what, at) in self.choices(&world, thread) {
                if what == "destroys" && world.gate.is_dead() {
                    continue;
                }
                let mut after = world;
                let at = match at {
                    At::Entering(seen) if self.merge || self.enter(seen, here.0).is_err() => {
                        self.swap_in(&mut after, here.0, seen)?
                    }
                    At::Nesting(seen) if self.merge => Self::swap_nested(&mut after, seen),
                    at => at,
                };
                push(after, thread, at, false, what);
            }
        }
        Ok(())
    }

    fn is_at_rest(&self, state: u128) -> bool {
        let world = World::unpack(state, self.oob);
        world.threads.iter().all(|at| *at == At::Idle)
    }

    fn show(&self, state: u128) -> String {
        format!("{:?}", World::unpack(state, self.oob))
    }
}
