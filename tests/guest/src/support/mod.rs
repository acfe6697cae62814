// SPDX-License-Identifier: GPL-2.0-only

//! What the tests are written with.
//!
//! | file | for |
//! | --- | --- |
//! | `device.rs` | calls as they are, so that bad ones can be made; the frame buffer |
//! | `motor.rs` | the virtual board's motor, one frame at a time |
//! | `task.rs` | real-time threads, processes to be killed |
//! | `board.rs` | which board this is; its faults and counters; module parameters |
//! | `modules.rs` | loading, unloading, binding, unbinding |
//! | `program32.rs` | programs of 32 bits |
//! | `tracefs.rs` | what the kernel did on a thread's behalf |

pub(crate) mod board;
pub(crate) mod device;
pub(crate) mod modules;
pub(crate) mod motor;
pub(crate) mod program32;
pub(crate) mod task;
pub(crate) mod tracefs;

use anyhow::{Result, bail};
use rustix::io::Errno;
use std::fmt::Debug;
use std::thread;
use std::time::{Duration, Instant};

/// Fails unless `result` is the error `errno`.
pub(crate) fn refused<T: Debug>(what: &str, result: Result<T, Errno>, errno: Errno) -> Result<()> {
    match result {
        Err(got) if got == errno => Ok(()),
        Err(got) => bail!("{what}: {}, not {}", name(got), name(errno)),
        Ok(value) => bail!("{what}: accepted ({value:?}), not {}", name(errno)),
    }
}

/// Fails unless `result` is fine.
pub(crate) fn accepted<T>(what: &str, result: Result<T, Errno>) -> Result<T> {
    result.map_err(|errno| anyhow::anyhow!("{what}: {}", name(errno)))
}

fn name(errno: Errno) -> String {
    let text = std::io::Error::from(errno).to_string();
    format!("errno {} ({text})", errno.raw_os_error())
}

/// Waits until `condition` holds; fails with `what` after `limit`.
pub(crate) fn eventually(
    what: &str,
    limit: Duration,
    mut condition: impl FnMut() -> Result<bool>,
) -> Result<()> {
    let start = Instant::now();
    while !condition()? {
        if start.elapsed() > limit {
            bail!("not within {} ms: {what}", limit.as_millis());
        }
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// A generator of numbers that are the same each time (xorshift64, Marsaglia 2003).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed ^ 0x9e37_79b9_7f4a_7c15 | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Below `end`, which is not zero.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        (self.next() >> 8) % end
    }

    /// One of `choices`.
    pub(crate) fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }
}
