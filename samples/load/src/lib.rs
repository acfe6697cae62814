// SPDX-License-Identifier: MIT OR Apache-2.0

//! The in-band load of all measurements: five child processes that keep the kernel busy with work
//! that disturbs a loop most.
//!
//! | worker | one unit of work |
//! | --- | --- |
//! | fork | fork a process that exits at once, and wait for it |
//! | copy | have the kernel copy 1 MiB into the next part of an area of 128 MiB |
//! | fault | touch a page for the first time (4 MiB are mapped, touched, unmapped) |
//! | tcp | send 1 KiB over loopback and receive it back |
//! | udp | send 1 KiB over loopback and receive it back |
//!
//! ```text
//!   parent                                   child: the same program, `load-worker KIND`
//!     Load::start ---- spawns ------------->   works, counts
//!             <------- "ready" ------------    (after its first unit)
//!     Load::stop ----- closes stdin ------->   writes "units nanoseconds", ends
//! ```
//!
//! Each child counts its units from "ready" on. If the parent dies, the children's stdin is closed
//! and they end. A program that uses the load must call [`work`] when its arguments are [`WORKER`]
//! and a [`Kind`].

mod worker;

pub use worker::{Kind, work};

use serde::Serialize;
use std::fmt;
use std::fs;
use std::io::{self, BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};

/// The argument that makes a program a worker.
pub const WORKER: &str = "load-worker";

/// The load's rates, per second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Rates {
    /// Processes forked.
    pub forks: f64,
    /// MiB copied.
    pub copied_mib: f64,
    /// Pages touched for the first time.
    pub faults: f64,
    /// Round trips over TCP.
    pub tcp: f64,
    /// Round trips over UDP.
    pub udp: f64,
    /// The idle time of all processors, in percent (no rate). `None` if the kernel does not report
    /// it.
    pub idle_percent: Option<f64>,
}

/// A machine whose idle time, in percent, is at least this is not under load.
const IDLE_MAX_PERCENT: f64 = 1.0;

impl Rates {
    /// Whether the machine is known to have been busy nearly all the time.
    pub fn is_load(&self) -> bool {
        self.idle_percent
            .is_some_and(|percent| percent < IDLE_MAX_PERCENT)
    }
}

impl fmt::Display for Rates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.0} forks/s, {:.0} MiB/s copied, {:.0} faults/s, {:.0} TCP and {:.0} UDP round trips/s, ",
            self.forks, self.copied_mib, self.faults, self.tcp, self.udp
        )?;
        match self.idle_percent {
            Some(percent) => write!(f, "{percent:.2} % idle")?,
            None => write!(f, "idle time unknown")?,
        }
        if !self.is_load() {
            write!(
                f,
                ": NOT UNDER LOAD (that is below {IDLE_MAX_PERCENT} % idle)"
            )?;
        }
        Ok(())
    }
}

struct Running {
    kind: Kind,
    child: Child,
    output: BufReader<ChildStdout>,
}

/// The running load. Dropping it ends the load.
pub struct Load {
    workers: Vec<Running>,
    before: Option<(u64, u64)>,
}

impl Load {
    /// Starts the five workers and waits until each has done its first unit of work.
    ///
    /// # Errors
    ///
    /// The error of the first worker that failed.
    pub fn start() -> io::Result<Self> {
        let mut load = Self {
            workers: Vec::new(),
            before: None,
        };
        for kind in Kind::ALL {
            let mut child = Command::new("/proc/self/exe")
                .args([WORKER, kind.name()])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()?;
            let output = child
                .stdout
                .take()
                .ok_or_else(|| io::Error::other("a worker without output"))?;
            load.workers.push(Running {
                kind,
                child,
                output: BufReader::new(output),
            });
        }
        for worker in &mut load.workers {
            worker.expect_line().and_then(|line| match line.trim() {
                "ready" => Ok(()),
                _ => Err(worker.failed()),
            })?;
        }
        load.before = idle_and_total();
        Ok(load)
    }

    /// Ends the load and returns its rates.
    ///
    /// # Errors
    ///
    /// The error of a worker that failed meanwhile.
    pub fn stop(mut self) -> io::Result<Rates> {
        let after = idle_and_total();
        let mut rates = Rates {
            idle_percent: self
                .before
                .zip(after)
                .and_then(|(before, after)| idle_percent(before, after)),
            ..Rates::default()
        };
        for worker in &mut self.workers {
            drop(worker.child.stdin.take());
        }
        for worker in &mut self.workers {
            let line = worker.expect_line()?;
            let rate = per_second(&line).ok_or_else(|| worker.failed())?;
            match worker.kind {
                Kind::Fork => rates.forks = rate,
                Kind::Copy => rates.copied_mib = rate,
                Kind::Fault => rates.faults = rate,
                Kind::Tcp => rates.tcp = rate,
                Kind::Udp => rates.udp = rate,
            }
        }
        Ok(rates)
    }
}

impl Running {
    fn expect_line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        Ok(line)
    }

    fn failed(&self) -> io::Error {
        io::Error::other(format!("the load's {} worker failed", self.kind.name()))
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        for worker in &mut self.workers {
            // This fails if the worker has ended already, which is fine.
            let _ = worker.child.kill();
            let _ = worker.child.wait();
        }
    }
}

/// The idle time and the total time of all processors, in ticks.
fn idle_and_total() -> Option<(u64, u64)> {
    parse_stat(&fs::read_to_string("/proc/stat").ok()?)
}

/// The first line of /proc/stat: user nice system idle iowait irq softirq steal guest guest_nice
/// (proc(5)). The two guest times are part of user and nice.
fn parse_stat(text: &str) -> Option<(u64, u64)> {
    let line = text.lines().next()?.strip_prefix("cpu ")?;
    let times: Vec<u64> = line
        .split_whitespace()
        .take(8)
        .map_while(|word| word.parse().ok())
        .collect();
    let idle = times.get(3)?.saturating_add(*times.get(4)?);
    Some((idle, times.iter().sum()))
}

/// The idle time's share of the total between two readings. `None` if the kernel counted no time
/// between them.
#[allow(clippy::cast_precision_loss)]
fn idle_percent(before: (u64, u64), after: (u64, u64)) -> Option<f64> {
    let idle = after.0.saturating_sub(before.0) as f64;
    let total = after.1.saturating_sub(before.1) as f64;
    (total > 0.0).then(|| 100.0 * idle / total)
}

/// The rate in a worker's last line, "units nanoseconds".
#[allow(clippy::cast_precision_loss)]
fn per_second(line: &str) -> Option<f64> {
    let (units, ns) = line.trim().split_once(' ')?;
    let (units, ns): (u64, u64) = (units.parse().ok()?, ns.parse().ok()?);
    (ns > 0).then(|| units as f64 * 1e9 / ns as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guest_time_is_not_counted_twice() {
        let text = "cpu  10 20 30 40 5 6 7 8 9 1\ncpu0 1 2 3\n";
        assert_eq!(parse_stat(text), Some((45, 126)));
        assert_eq!(parse_stat("intr 5"), None);
        assert_eq!(parse_stat("cpu  1 2 3"), None);
        assert!(idle_and_total().is_some_and(|(idle, total)| idle <= total && total > 0));
    }

    #[test]
    fn a_rate_needs_two_numbers_and_some_time() {
        assert_eq!(per_second("500 250000000\n"), Some(2_000.0));
        assert_eq!(per_second("500 0"), None);
        assert_eq!(per_second(""), None);
        assert_eq!(per_second("ready"), None);
    }

    #[test]
    fn idle_is_a_share_of_the_time_between_two_readings() {
        assert_eq!(idle_percent((10, 100), (12, 300)), Some(1.0));
        assert_eq!(idle_percent((10, 100), (10, 100)), None);
    }

    #[test]
    fn idle_time_of_one_percent_or_unknown_is_no_load() {
        let idle = |idle_percent| Rates {
            idle_percent,
            ..Rates::default()
        };
        assert!(idle(Some(0.99)).is_load());
        assert!(!idle(Some(0.99)).to_string().contains("NOT"));
        for no_load in [Some(1.0), Some(60.0), Some(f64::NAN), None] {
            assert!(!idle(no_load).is_load(), "{no_load:?}");
            assert!(idle(no_load).to_string().contains("NOT UNDER LOAD"));
        }
    }

    #[test]
    fn the_text_names_every_rate() {
        let rates = Rates {
            forks: 1.0,
            copied_mib: 2.0,
            faults: 3.0,
            tcp: 4.0,
            udp: 5.0,
            idle_percent: Some(0.25),
        };
        assert_eq!(
            rates.to_string(),
            "1 forks/s, 2 MiB/s copied, 3 faults/s, 4 TCP and 5 UDP round trips/s, 0.25 % idle"
        );
    }
}
