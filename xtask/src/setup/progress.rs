// SPDX-License-Identifier: GPL-2.0-only
//! How far the set-up is, and how long it may still take.
//!
//! Each job is entered with the seconds it took when it was tried; the bar moves by them, so that the
//! time left means something though the jobs differ by a factor of a hundred. Without a terminal
//! there is one line for each job instead.

use std::io::{IsTerminal, stderr};
use std::time::Duration;

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};

/// Progress through a known list of jobs.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    done: u64,
    total: u64,
}

impl Progress {
    /// For jobs that take `total` seconds together.
    pub(crate) fn new(total: u64) -> Self {
        let bar = stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(total);
            let style = "{bar:30} {percent:>3}% {eta:>4} left  {msg}";
            if let Ok(style) = ProgressStyle::with_template(style) {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        Self {
            bar,
            done: 0,
            total,
        }
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
                let left = self.total.saturating_sub(self.done);
                eprintln!("setup: {what} (about {left} s left)");
            }
        }
        let result = work()?;
        self.done = self.done.saturating_add(seconds);
        if let Some(bar) = &self.bar {
            bar.set_position(self.done);
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
