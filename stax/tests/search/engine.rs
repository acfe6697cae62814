// SPDX-License-Identifier: GPL-2.0-only

//! The search engine: visits every state of a model.
//!
//! ```text
//!   start --> [ table of states seen ] <--> stack --> next(state) --> every step of every thread
//!                                                        |
//!                 no step must come, some thread not at rest '--> stuck
//! ```
//!
//! A step either *must* come at some time (a thread in the middle of a call goes on) or *may* come
//! (a thread begins a call, a signal arrives, a deadline passes). A state is stuck if no step must
//! come and a thread waits. From every state, [`explore`] also follows the steps that must come,
//! one thread after the other, and requires that they end at rest. So every call that has begun can
//! be finished from every state.

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
    /// The violation of one of them, or of `state`.
    fn next(&self, state: u128, steps: &mut Vec<Step>) -> Result<(), String>;

    /// Whether no thread waits or is in the middle of a call.
    fn is_at_rest(&self, state: u128) -> bool;

    fn show(&self, state: u128) -> String;
}

/// A violation, and the shortest path to it.
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

/// A set of states: a hash table with open addressing, without removal. No state is `u128::MAX`.
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
        return Err("stuck: a thread waits for ever".into());
    }
    Ok(())
}

/// Visits all states. Returns their number, or a violation.
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

/// Checks that from every state the calls under way can be finished.
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
                    what: "the steps that must come do not end".into(),
                    trace: vec![model.show(*from)],
                });
            }
            steps.clear();
            model
                .next(at, &mut steps)
                .expect("the state was visited before");
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

/// Repeats the search breadth first, and keeps each state's predecessor.
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
    unreachable!("the first search found a violation");
}

fn step_text(step: &Step) -> String {
    format!("{}: {}", step.who, step.what)
}
