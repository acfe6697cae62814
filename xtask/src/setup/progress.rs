// SPDX-License-Identifier: GPL-2.0-only
//! How far the set-up is, and how long it may still take.
//!
//! Jobs differ by a factor of a hundred in length, so their number says nothing. Each job comes
//! with the seconds that it took in a trial. The speed of this machine in the jobs so far corrects
//! the estimate of the rest. Without a terminal, each job prints one line instead of the bar.

use std::io::{IsTerminal, stderr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::Result;
use indicatif::{ProgressBar, ProgressState, ProgressStyle};

/// Progress through a known list of jobs.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    pace: Arc<Mutex<Pace>>,
}

impl Progress {
    /// For jobs that take `total` seconds in all.
    pub(crate) fn new(total: u64) -> Self {
        let pace = Arc::new(Mutex::new(Pace::new(total)));
        let bar = stderr()
            .is_terminal()
            .then(|| bar(total, Arc::clone(&pace)));
        Self { bar, pace }
    }

    /// Does one job of about `seconds`.
    pub(crate) fn job<T>(
        &mut self,
        what: &str,
        seconds: u64,
        work: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        match &self.bar {
            Some(bar) => bar.set_message(what.to_owned()),
            None => {
                let left = self.pace.lock().map(|pace| pace.left(0)).unwrap_or(0);
                eprintln!("setup: {what} (about {left} s left)");
            }
        }
        let start = Instant::now();
        let result = work()?;
        if let Ok(mut pace) = self.pace.lock() {
            pace.finished(seconds, start.elapsed().as_secs());
        }
        if let Some(bar) = &self.bar {
            bar.inc(seconds);
        }
        Ok(result)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn bar(total: u64, pace: Arc<Mutex<Pace>>) -> ProgressBar {
    let bar = ProgressBar::new(total);
    let left = move |_: &ProgressState, out: &mut dyn std::fmt::Write| {
        if let Ok(pace) = pace.lock() {
            let left = pace.left(pace.since.elapsed().as_secs());
            // If drawing fails, the next tick draws the line again.
            let _ = write!(out, "{}:{:02} left", left / 60, left % 60);
        }
    };
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {left}  {wide_msg}") {
        bar.set_style(style.with_key("left", left));
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// Expected and real seconds.
struct Pace {
    total: u64,
    done: u64,
    took: u64,
    since: Instant,
}

impl Pace {
    fn new(total: u64) -> Self {
        Self {
            total,
            done: 0,
            took: 0,
            since: Instant::now(),
        }
    }

    fn finished(&mut self, expected: u64, took: u64) {
        self.done = self.done.saturating_add(expected);
        self.took = self.took.saturating_add(took);
        self.since = Instant::now();
    }

    /// The time left when the current job has run for this long.
    fn left(&self, running: u64) -> u64 {
        let expected = self.total.saturating_sub(self.done);
        let left = if self.done < 10 {
            // Too little time has passed for an estimate.
            expected
        } else {
            expected.saturating_mul(self.took) / self.done
        };
        left.saturating_sub(running)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_machine_is_told_a_longer_time() {
        let mut pace = Pace::new(100);
        assert_eq!(pace.left(0), 100);
        assert_eq!(pace.left(30), 70);
        pace.finished(20, 60);
        assert_eq!(pace.left(0), 240);
        assert_eq!(pace.left(300), 0);
    }
}
