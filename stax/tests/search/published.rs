// SPDX-License-Identifier: GPL-2.0-only

//! EVL's published protocol, from its description: one CLAIMED bit for both stages.
//!
//! ```text
//!   lock:    may enter? count+1 : claim
//!   claim:   under the lock: leave if the stage owns the gate by now; else set CLAIMED; while the other stage is inside:
//!            sleep; clear CLAIMED if nobody of this stage sleeps; back to lock
//!   unlock:  count-1; if CLAIMED and count is 0: wake all sleepers of the other stage (of in-band: by an irq_work)
//! ```
//!
//! In this model each section under its lock is one step, and so is each compare-and-swap; there
//! are no signals. Real runs have more interleavings, but these are enough to get stuck. Each
//! thread makes a number of rounds.

use crate::engine::{Model, Step};

const MOST: usize = 5;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum At {
    Lock,
    Claim,
    Asleep,
    Woken,
    Inside,
}

const PLACES: [At; 5] = [At::Lock, At::Claim, At::Asleep, At::Woken, At::Inside];

#[derive(Clone, Copy, Debug)]
struct World {
    count: u8,
    inband: bool,
    claimed: bool,
    irq_work: bool,
    threads: [(At, u8); MOST],
}

/// The numbers of threads and rounds, and the repairs that are made.
#[derive(Clone, Copy)]
pub(crate) struct Published {
    pub(crate) oob: usize,
    pub(crate) inband: usize,
    pub(crate) rounds: u8,
    pub(crate) set_again_before_each_sleep: bool,
    pub(crate) clear_only_when_nobody_sleeps: bool,
}

impl Published {
    fn len(&self) -> usize {
        self.oob + self.inband
    }

    fn is_inband(&self, thread: usize) -> bool {
        thread >= self.oob
    }

    fn pack(&self, mut world: World) -> u128 {
        world.threads[..self.oob].sort_unstable();
        world.threads[self.oob..self.len()].sort_unstable();
        let mut bits = u128::from(world.count);
        for flag in [world.inband, world.claimed, world.irq_work] {
            bits = bits << 1 | u128::from(flag);
        }
        for (at, rounds) in world.threads {
            bits = bits << 6 | (at as u128) << 3 | u128::from(rounds);
        }
        bits
    }

    fn unpack(&self, mut bits: u128) -> World {
        let mut take = |width: u32| {
            let part = (bits & ((1 << width) - 1)) as u8;
            bits >>= width;
            part
        };
        let mut threads = [(At::Lock, 0); MOST];
        for thread in threads.iter_mut().rev() {
            let rounds = take(3);
            *thread = (PLACES[take(3) as usize], rounds);
        }
        let irq_work = take(1) == 1;
        let claimed = take(1) == 1;
        let inband = take(1) == 1;
        World {
            count: take(8),
            inband,
            claimed,
            irq_work,
            threads,
        }
    }

    fn sleepers(&self, world: &World, inband: bool) -> bool {
        (0..self.len())
            .any(|other| self.is_inband(other) == inband && world.threads[other].0 == At::Asleep)
    }

    fn wake(&self, world: &mut World, inband: bool) {
        for other in 0..self.len() {
            if self.is_inband(other) == inband && world.threads[other].0 == At::Asleep {
                world.threads[other].0 = At::Woken;
            }
        }
    }

    /// The next step of a thread that is not asleep.
    fn step(&self, world: &mut World, thread: usize) -> &'static str {
        let inband = self.is_inband(thread);
        let may_enter = match inband {
            true => world.count == 0 || world.inband,
            false => !world.inband,
        };
        let (at, rounds) = world.threads[thread];
        let (at, what) = match at {
            At::Lock if may_enter => {
                world.count += 1;
                world.inband = inband;
                (At::Inside, "locks")
            }
            At::Lock => (At::Claim, "sees a busy gate"),
            At::Claim if world.inband == inband => (At::Lock, "claims: the gate is its stage's"),
            At::Claim | At::Woken if may_enter => {
                if at == At::Claim {
                    world.claimed = true;
                }
                let sleepers = self.sleepers(world, inband)
                    || self.clear_only_when_nobody_sleeps && self.sleepers(world, !inband);
                world.claimed &= sleepers;
                (At::Lock, "claims: the gate is free; leaves")
            }
            At::Claim | At::Woken => {
                world.claimed |= at == At::Claim || self.set_again_before_each_sleep;
                (At::Asleep, "sleeps")
            }
            At::Inside => {
                world.count -= 1;
                world.inband &= world.count != 0;
                if world.claimed && world.count == 0 {
                    match inband {
                        true => self.wake(world, false),
                        false => world.irq_work = true,
                    }
                }
                world.threads[thread].1 = rounds - 1;
                (At::Lock, "unlocks")
            }
            At::Asleep => unreachable!(),
        };
        world.threads[thread].0 = at;
        what
    }
}

impl Model for Published {
    fn start(&self) -> u128 {
        let mut threads = [(At::Lock, 0); MOST];
        threads[..self.len()].fill((At::Lock, self.rounds));
        self.pack(World {
            count: 0,
            inband: false,
            claimed: false,
            irq_work: false,
            threads,
        })
    }

    fn next(&self, state: u128, steps: &mut Vec<Step>) -> Result<(), String> {
        let world = self.unpack(state);
        let mut push = |world, what, who| {
            steps.push(Step {
                to: self.pack(world),
                must: true,
                what,
                who,
            });
        };
        for thread in 0..self.len() {
            let (at, rounds) = world.threads[thread];
            if at != At::Asleep && rounds != 0 {
                let mut after = world;
                let what = self.step(&mut after, thread);
                push(
                    after,
                    what,
                    ["oob", "in-band"][usize::from(self.is_inband(thread))],
                );
            }
        }
        if world.irq_work {
            let mut after = world;
            after.irq_work = false;
            self.wake(&mut after, true);
            push(after, "wakes all in-band sleepers", "irq_work");
        }
        Ok(())
    }

    fn is_at_rest(&self, state: u128) -> bool {
        self.unpack(state)
            .threads
            .iter()
            .all(|(_, rounds)| *rounds == 0)
    }

    fn show(&self, state: u128) -> String {
        format!("{:?}", self.unpack(state))
    }
}
