// SPDX-License-Identifier: GPL-2.0-only

//! Visits every state of a model.
//!
//! ```text
//!   start --> [ table of states seen ] <--> stack --> next(state) --> every step of every thread
//!                                                        |
//!                 no step that must come, nobody at rest '--> stuck
//! ```
//!
//! A step either *must* come some time (a thread in the middle of something goes on) or *may* come
//! (a thread begins, a signal arrives, a deadline passes). A state is stuck where nothing must come
//! and somebody waits. [`explore`] also follows from every state the steps that must come, one
//! thread after the other, and demands that they end at rest: so everything that has begun can be
//! finished from everywhere.

use std::collections::{HashMap, VecDeque};

/// One step of one thread.
#[derive(Clone, Copy)]
pub(crate) struct Step {
    pub(crate) to: u128,
    pub(crate) must: bool,
    pub(crate) what: &'static str,
    pub(crate) who: &'static str,
}

pub(crate) trait Model {
    fn start(&self) -> u128;

    /// Appends all steps from `state`.
    ///
    /// # Errors
    ///
    /// What is wrong with one of them, or with `state`.
    fn next(&self, state: u128, steps: &mut Vec<Step>) -> Result<(), String>;

    /// Whether nobody waits or is in the middle of anything.
    fn is_at_rest(&self, state: u128) -> bool;

    fn show(&self, state: u128) -> String;
}

/// What is wrong, and the shortest way there.
#[derive(Debug)]
pub(crate) struct Wrong {
    pub(crate) what: String,
    pub(crate) trace: Vec<String>,
}

impl std::fmt::Display for Wrong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}\n  {}", self.what, self.trace.join("\n  "))
    }
}

/// A set of states: open addressing, no deletion. No state is `u128::MAX`.
struct Table {
    slots: Vec<u128>,
    len: usize,
}

const EMPTY: u128 = u128::MAX;

impl Table {
    fn new() -> Self {
        Self {
            slots: vec![EMPTY; 1 << 12],
            len: 0,
        }
    }

    fn slot(&self, state: u128) -> usize {
        let mixed = (state as u64 ^ 0x9e37_79b9_7f4a_7c15)
            .wrapping_mul(0xd6e8_feb8_6659_fd93)
            .rotate_left(29)
            ^ (state >> 64) as u64;
        let mixed = mixed.wrapping_mul(0xa076_1d64_78bd_642f);
        let mask = self.slots.len() - 1;
        let mut at = (mixed ^ (mixed >> 32)) as usize & mask;
        while self.slots[at] != EMPTY && self.slots[at] != state {
            at = (at + 1) & mask;
        }
        at
    }

    fn insert(&mut self, state: u128) -> bool {
        let at = self.slot(state);
        if self.slots[at] == state {
            return false;
        }
        self.slots[at] = state;
        self.len += 1;
        if self.len * 3 > self.slots.len() * 2 {
            let doubled = vec![EMPTY; self.slots.len() * 2];
            let old = std::mem::replace(&mut self.slots, doubled);
            for state in old.into_iter().filter(|state| *state != EMPTY) {
                let at = self.slot(state);
                self.slots[at] = state;
            }
        }
        true
    }
}

fn expand(model: &impl Model, state: u128, steps: &mut Vec<Step>) -> Result<(), String> {
    steps.clear();
    model.next(state, steps)?;
    if !steps.iter().any(|step| step.must) && !model.is_at_rest(state) {
        return Err("stuck: somebody waits for ever".into());
    }
    Ok(())
}

/// The number of states, or what is wrong in one of them.
pub(crate) fn explore(model: &impl Model) -> Result<usize, Wrong> {
    let mut table = Table::new();
    let mut stack = vec![model.start()];
    let mut steps = Vec::new();
    table.insert(model.start());
    while let Some(state) = stack.pop() {
        if expand(model, state, &mut steps).is_err() {
            return Err(shortest(model));
        }
        stack.extend(
            steps
                .iter()
                .map(|step| step.to)
                .filter(|to| table.insert(*to)),
        );
    }
    finishes(model, &table)?;
    Ok(table.len)
}

/// From every state, finishing what was begun comes to rest.
fn finishes(model: &impl Model, table: &Table) -> Result<(), Wrong> {
    let mut good = vec![false; table.slots.len()];
    let mut steps = Vec::new();
    let mut path = Vec::new();
    for from in table.slots.iter().filter(|state| **state != EMPTY) {
        let mut at = *from;
        path.clear();
        while !good[table.slot(at)] {
            path.push(table.slot(at));
            if path.len() > 1_000 {
                return Err(Wrong {
                    what: "goes round and round without coming to rest".into(),
                    trace: vec![model.show(*from)],
                });
            }
            steps.clear();
            model.next(at, &mut steps).expect("visited before");
            match steps.iter().find(|step| step.must) {
                Some(step) => at = step.to,
                None => break,
            }
        }
        for slot in &path {
            good[*slot] = true;
        }
    }
    Ok(())
}

/// The same search, breadth first and keeping where each state came from.
fn shortest(model: &impl Model) -> Wrong {
    let mut from = HashMap::new();
    let mut queue = VecDeque::from([model.start()]);
    let mut steps = Vec::new();
    while let Some(state) = queue.pop_front() {
        if let Err(what) = expand(model, state, &mut steps) {
            let mut trace = vec![model.show(state)];
            let mut at = state;
            while let Some((before, step)) = from.get(&at) {
                trace.push(step_text(step));
                at = *before;
            }
            trace.reverse();
            return Wrong { what, trace };
        }
        for step in &steps {
            if step.to != model.start() && !from.contains_key(&step.to) {
                from.insert(step.to, (state, *step));
                queue.push_back(step.to);
            }
        }
    }
    unreachable!("the other search found it");
}

fn step_text(step: &Step) -> String {
    format!("{}: {}", step.who, step.what)
}
