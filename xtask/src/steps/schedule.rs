// SPDX-License-Identifier: GPL-2.0-only
//! Decides which step runs when, two at a time.
//!
//! ```text
//!   worker 1 -\   the first step of the list that waits for no other and whose tool is free
//!   worker 2 -/   Tool::Machine: only when the other worker has nothing, and the other one waits meanwhile
//! ```

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::count::Count;
use super::step::{Log, Mode, Step, Tool};

/// A guest uses one processor of the host, a build sometimes two. Two steps keep two processors
/// busy.
const WORKERS: usize = 2;

/// The result of a step.
pub(super) struct Ended<'a> {
    pub(super) step: &'a Step,
    pub(super) count: Result<Count>,
    pub(super) log: Log,
    pub(super) took: Duration,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Waits,
    Runs,
    Ended,
}

struct Board<'a> {
    steps: &'a [Step],
    states: Mutex<Vec<State>>,
    changed: Condvar,
}

impl<'a> Board<'a> {
    /// A worker that panicked has left valid states, and its panic ends the scope.
    fn states(&self) -> MutexGuard<'_, Vec<State>> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next step for a worker. `None` if all have begun.
    fn take(&self) -> Option<(usize, &'a Step)> {
        let mut states = self.states();
        loop {
            if let Some(index) = next(self.steps, &states) {
                states[index] = State::Runs;
                return Some((index, &self.steps[index]));
            }
            if !states.contains(&State::Waits) {
                return None;
            }
            states = self
                .changed
                .wait(states)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn ended(&self, index: usize) {
        self.states()[index] = State::Ended;
        self.changed.notify_all();
    }
}

/// The first step that may begin now.
fn next(steps: &[Step], states: &[State]) -> Option<usize> {
    let running = || {
        let both = steps.iter().zip(states);
        both.filter(|(_, state)| **state == State::Runs)
            .map(|(step, _)| step)
    };
    if running().any(|step| step.tool == Some(Tool::Machine)) {
        return None;
    }
    let is_over = |name: &String| {
        let mut both = steps.iter().zip(states);
        both.all(|(step, state)| step.name != *name || *state == State::Ended)
    };
    let may_begin = |step: &Step| {
        let is_free = match step.tool {
            None => true,
            Some(Tool::Machine) => running().next().is_none(),
            tool => running().all(|other| other.tool != tool),
        };
        is_free && step.after.iter().all(is_over)
    };
    let mut both = steps.iter().zip(states);
    both.position(|(step, state)| *state == State::Waits && may_begin(step))
}

/// Runs all steps, and calls `ended` after each.
pub(super) fn run<'a>(steps: &'a [Step], mode: &Mode, ended: impl Fn(Ended<'a>) + Sync) {
    let board = Board {
        steps,
        states: Mutex::new(vec![State::Waits; steps.len()]),
        changed: Condvar::new(),
    };
    thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                while let Some((index, step)) = board.take() {
                    println!("=== {} begins", step.name);
                    let (start, mut log) = (Instant::now(), Log::default());
                    let count = (step.run)(mode, &mut log);
                    let took = start.elapsed();
                    ended(Ended {
                        step,
                        count,
                        log,
                        took,
                    });
                    board.ended(index);
                }
            });
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(name: &str) -> Step {
        Step::new(name, "", |_, _| Ok(Count::PASS))
    }

    #[test]
    fn a_step_waits_for_others_for_its_tool_and_to_be_alone() {
        use State::{Ended, Runs, Waits};
        let steps = [
            step("a").uses(Tool::KernelBuild),
            step("b").uses(Tool::KernelBuild),
            step("c").after("a").after("not asked for"),
            step("d").uses(Tool::Machine),
            step("e"),
        ];
        assert_eq!(next(&steps, &[Waits; 5]), Some(0));
        assert_eq!(next(&steps, &[Runs, Waits, Waits, Waits, Waits]), Some(4));
        assert_eq!(next(&steps, &[Ended, Runs, Waits, Waits, Waits]), Some(2));
        assert_eq!(next(&steps, &[Ended, Ended, Ended, Waits, Runs]), None);
        assert_eq!(next(&steps, &[Ended, Ended, Ended, Waits, Ended]), Some(3));
        assert_eq!(next(&steps, &[Ended, Ended, Waits, Runs, Waits]), None);
    }

    #[test]
    fn each_step_runs_once() {
        let steps = [
            step("a"),
            step("b").after("a"),
            step("c").uses(Tool::Machine),
        ];
        let seen = Mutex::new(Vec::new());
        run(&steps, &Mode::default(), |ended| {
            seen.lock().unwrap().push(ended.step.name.clone());
        });
        let mut seen = seen.into_inner().unwrap();
        seen.sort();
        assert_eq!(seen, ["a", "b", "c"]);
    }
}
