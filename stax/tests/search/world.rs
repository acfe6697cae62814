// SPDX-License-Identifier: GPL-2.0-only

//! A state of the lock and of up to six threads, and how it is packed into 128 bits.
//!
//! ```text
//!   gate | waiting oob, in-band | closed oob, in-band | history | operation of the queue lock's holder | 6 threads
//! ```
//!
//! A packed state leaves out two things that no step depends on: the identity of threads of one
//! stage (they are sorted), and how often an epoch has moved (only whether a ticket is from before
//! the last move).

use stax::gate::Gate;
use stax::queue::{Epoch, Fate, Outcome, Queue, QueueOp, SharedWords, Task};
use stax::stage::Side;

pub(crate) const MOST: usize = 6;
pub(crate) const SIDES: [Side; 2] = [Side::Oob, Side::Inband];

/// A thread's place in its call; `ours.rs` has its next steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum At {
    Idle,
    /// Has read the gate and is about to swap it.
    Entering(Gate),
    /// Is about to take the queue lock.
    Want(Task),
    /// Holds the queue lock.
    Holding,
    /// In its sleep, about to read the epoch.
    Checking(Epoch),
    Asleep(Epoch),
    /// The deadline has passed, or a signal has come.
    Ended(Epoch),
    /// Inside; the number of entries.
    Inside(u8),
    /// Inside once, has read the gate and is about to swap it.
    Nesting(Gate),
}

impl At {
    /// The ticket of a thread that waits, or waited until it was granted entry.
    pub(crate) fn ticket(self) -> Option<Epoch> {
        match self {
            Self::Checking(ticket) | Self::Asleep(ticket) | Self::Ended(ticket) => Some(ticket),
            Self::Want(Task::Withdraw(_, ticket)) => Some(ticket),
            _ => None,
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct World {
    pub(crate) gate: Gate,
    pub(crate) queue: Queue,
    pub(crate) epochs: [Epoch; 2],
    /// The operation of the queue lock's holder.
    pub(crate) op: Option<QueueOp>,
    /// For each side: whether the other side has been granted entry since a thread of this side
    /// began to wait.
    pub(crate) passed: [bool; 2],
    /// The number of sections that the other stage has begun since the measured thread began to
    /// wait.
    pub(crate) begun: u8,
    pub(crate) threads: [At; MOST],
    /// The side that the last step has woken; not part of the state.
    pub(crate) woken: Option<Side>,
}

pub(crate) const fn index(side: Side) -> usize {
    side as usize
}

impl SharedWords for World {
    fn load(&mut self) -> Gate {
        self.gate
    }

    fn cas(&mut self, seen: Gate, new: Gate) -> Result<(), Gate> {
        if self.gate != seen {
            return Err(self.gate);
        }
        self.gate = new;
        Ok(())
    }

    fn epoch(&mut self, side: Side) -> Epoch {
        self.epochs[index(side)]
    }

    fn set_epoch(&mut self, side: Side, epoch: Epoch) {
        self.epochs[index(side)] = epoch;
    }

    fn wake_all(&mut self, side: Side) {
        self.woken = Some(side);
    }
}

/// An epoch that has moved before, so that earlier tickets exist.
const NOW: Epoch = Epoch::START.next();
const BEFORE: Epoch = Epoch::START;

struct Bits(u128);

impl Bits {
    fn put(&mut self, width: u32, value: u32) {
        debug_assert!(value < 1 << width);
        self.0 = self.0 << width | u128::from(value);
    }

    fn take(&mut self, width: u32) -> u32 {
        let value = (self.0 as u32) & ((1 << width) - 1);
        self.0 >>= width;
        value
    }

    fn put_gate(&mut self, gate: Gate) {
        assert!(gate.count() < 16);
        self.put(8, gate.bits() >> 28 << 4 | gate.count());
    }

    fn take_gate(&mut self) -> Gate {
        let bits = self.take(8);
        Gate::from_bits(bits >> 4 << 28 | bits & 15)
    }
}

fn is_old(ticket: Epoch, now: Epoch) -> u32 {
    u32::from(now.fate(ticket) == Fate::Granted)
}

fn ticket(is_old: u32) -> Epoch {
    if is_old == 1 { BEFORE } else { NOW }
}

fn thread_code(at: At, now: Epoch) -> u16 {
    let gate = |gate: Gate| {
        let mut bits = Bits(0);
        bits.put_gate(gate);
        bits.0 as u32
    };
    let (place, rest) = match at {
        At::Idle => (0, 0),
        At::Entering(seen) => (1, gate(seen)),
        At::Nesting(seen) => (2, gate(seen)),
        At::Want(Task::Arrive(_)) => (3, 0),
        At::Want(Task::Withdraw(_, ticket)) => (4, is_old(ticket, now)),
        At::Want(Task::Settle) => (5, 0),
        At::Want(Task::Close) => (6, 0),
        At::Want(task) => unreachable!("{task:?}"),
        At::Holding => (7, 0),
        At::Checking(ticket) => (8, is_old(ticket, now)),
        At::Asleep(ticket) => (9, is_old(ticket, now)),
        At::Ended(ticket) => (10, is_old(ticket, now)),
        At::Inside(depth) => (11, u32::from(depth)),
    };
    (place << 8 | rest) as u16
}

fn thread_of(code: u32, side: Side) -> At {
    let rest = code & 0xff;
    let gate = Bits(rest.into()).take_gate();
    match code >> 8 {
        0 => At::Idle,
        1 => At::Entering(gate),
        2 => At::Nesting(gate),
        3 => At::Want(Task::Arrive(side)),
        4 => At::Want(Task::Withdraw(side, ticket(rest))),
        5 => At::Want(Task::Settle),
        6 => At::Want(Task::Close),
        7 => At::Holding,
        8 => At::Checking(ticket(rest)),
        9 => At::Asleep(ticket(rest)),
        10 => At::Ended(ticket(rest)),
        _ => At::Inside(rest as u8),
    }
}

fn put_op(bits: &mut Bits, op: &QueueOp, epochs: [Epoch; 2]) {
    let (task, side, flag) = match op.task {
        Task::Arrive(side) => (0, side, 0),
        Task::Withdraw(side, ticket) => (1, side, is_old(ticket, epochs[index(side)])),
        Task::Settle => (2, Side::Oob, 0),
        Task::Close => (3, Side::Oob, 0),
        Task::Move(side, closing) => (4, side, u32::from(closing)),
        Task::Wake(side, closing) => (5, side, u32::from(closing)),
        Task::Done => unreachable!("the queue lock was released"),
    };
    bits.put(3, task);
    bits.put(1, index(side) as u32);
    bits.put(1, flag);
    match op.seen {
        None => bits.put(9, 0),
        Some(seen) => {
            bits.put(1, 1);
            bits.put_gate(seen);
        }
    }
    // The ticket is one of the holder's side, which the holder's place among the threads tells.
    let (outcome, flag) = match op.outcome {
        Outcome::Done => (0, 0),
        Outcome::Withdrawn => (1, 0),
        // One bit for each side: whether the ticket is from before the last move of its epoch. The
        // holder's side picks the bit.
        Outcome::Wait(ticket) => (
            2,
            is_old(ticket, epochs[0]) | is_old(ticket, epochs[1]) << 1,
        ),
        Outcome::Entered | Outcome::Dead | Outcome::Full => unreachable!("the operation has ended"),
    };
    bits.put(2, outcome);
    bits.put(2, flag);
}

fn take_op(bits: &mut Bits, holder: Side) -> QueueOp {
    let flag = bits.take(2);
    let outcome = match bits.take(2) {
        0 => Outcome::Done,
        1 => Outcome::Withdrawn,
        _ => Outcome::Wait(ticket(flag >> index(holder) & 1)),
    };
    let seen = bits.take_gate();
    let seen = (bits.take(1) == 1).then_some(seen);
    let flag = bits.take(1);
    let side = SIDES[bits.take(1) as usize];
    let task = match bits.take(3) {
        0 => Task::Arrive(side),
        1 => Task::Withdraw(side, ticket(flag)),
        2 => Task::Settle,
        3 => Task::Close,
        4 => Task::Move(side, flag == 1),
        _ => Task::Wake(side, flag == 1),
    };
    QueueOp {
        task,
        seen,
        outcome,
    }
}

impl World {
    pub(crate) fn new() -> Self {
        Self {
            gate: Gate::FREE,
            queue: Queue::new(),
            epochs: [NOW; 2],
            op: None,
            passed: [false; 2],
            begun: 0,
            threads: [At::Idle; MOST],
            woken: None,
        }
    }

    /// Packs `oob` + `inband` threads. `special`, the first of its stage, keeps its place.
    pub(crate) fn pack(&self, oob: usize, inband: usize, special: Option<usize>) -> u128 {
        let mut codes = [0u16; MOST];
        for (thread, code) in codes.iter_mut().enumerate() {
            *code = thread_code(
                self.threads[thread],
                self.epochs[usize::from(thread >= oob)],
            );
        }
        for (first, end) in [(0, oob), (oob, oob + inband)] {
            codes[first + usize::from(special == Some(first) && first < end)..end].sort_unstable();
        }
        let mut bits = Bits(0);
        bits.put_gate(self.gate);
        for side in SIDES {
            bits.put(2, self.queue.waiting(side));
            bits.put(1, self.epochs[index(side)].bits() as u32 & 1);
            bits.put(1, u32::from(self.passed[index(side)]));
        }
        bits.put(2, self.begun.into());
        match &self.op {
            None => bits.put(18, 0),
            Some(op) => put_op(&mut bits, op, self.epochs),
        }
        for code in codes {
            bits.put(12, code.into());
        }
        bits.0
    }

    pub(crate) fn unpack(state: u128, oob: usize) -> Self {
        let mut bits = Bits(state);
        let mut world = Self::new();
        for (thread, at) in world.threads.iter_mut().enumerate().rev() {
            *at = thread_of(bits.take(12), SIDES[usize::from(thread >= oob)]);
        }
        match world.threads.iter().position(|at| *at == At::Holding) {
            None => _ = bits.take(18),
            Some(thread) => {
                world.op = Some(take_op(&mut bits, SIDES[usize::from(thread >= oob)]));
            }
        }
        world.begun = bits.take(2) as u8;
        for side in SIDES.into_iter().rev() {
            world.passed[index(side)] = bits.take(1) == 1;
            if bits.take(1) == 1 {
                world.epochs[index(side)] = NOW.closed();
            }
            world.queue.set_waiting(side, bits.take(2));
        }
        world.gate = bits.take_gate();
        world
    }
}
