// SPDX-License-Identifier: GPL-2.0-only

//! `/dev/oob/bench`, and threads of either stage that use it.

use crate::series::{Column, Failure, WARM_UP};
use crate::stamp;
use oob_trial::bench::{PATH, Round};
use oobkit::thread::{self, Realtime};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::thread::{Scope, ScopedJoinHandle};

/// The priority of the threads that measure.
pub(crate) const PRIORITY: u8 = 90;

/// The stage of a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Oob,
    Inband,
}

impl Stage {
    pub(crate) const BOTH: [Self; 2] = [Self::Oob, Self::Inband];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Oob => "oob",
            Self::Inband => "inband",
        }
    }

    pub(crate) const fn other(self) -> Self {
        match self {
            Self::Oob => Self::Inband,
            Self::Inband => Self::Oob,
        }
    }
}

/// Runs `work` in a real-time thread of stage `stage`.
pub(crate) fn spawn<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    stage: Stage,
    realtime: Realtime,
    work: impl FnOnce() -> Result<T, Failure> + Send + 'scope,
) -> ScopedJoinHandle<'scope, Result<T, Failure>> {
    scope.spawn(move || {
        realtime.apply()?;
        let _attached = match stage {
            Stage::Oob => Some(thread::attach()?),
            Stage::Inband => None,
        };
        work()
    })
}

/// Waits for the thread, and returns its result.
pub(crate) fn join<T>(thread: ScopedJoinHandle<'_, Result<T, Failure>>) -> Result<T, Failure> {
    thread.join().map_err(|_| "a thread panicked")?
}

/// The open device.
#[derive(Debug)]
pub(crate) struct Bench(File);

impl Bench {
    pub(crate) fn open() -> Result<Self, Failure> {
        let file = File::options().read(true).write(true).open(PATH);
        Ok(Self(file.map_err(|e| format!("{PATH}: {e}"))?))
    }

    /// Makes a call without an argument.
    pub(crate) fn call(&self, command: u32) -> io::Result<()> {
        // SAFETY: the callers pass commands that take no argument, so the kernel accesses no
        // memory.
        let result = unsafe { libc::ioctl(self.0.as_raw_fd(), command.into()) };
        match result {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(()),
        }
    }

    /// Makes a call that measures, and returns the time that the kernel measured.
    pub(crate) fn round(&self, command: u32, mut round: Round) -> io::Result<u64> {
        // SAFETY: the callers pass commands that take a `Round`. The kernel may write it, and it
        // outlives the call.
        let result = unsafe { libc::ioctl(self.0.as_raw_fd(), command.into(), &raw mut round) };
        match result {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(round.took),
        }
    }

    /// Measures a pair of operations, such as lock and unlock. One measurement repeats the pair as
    /// often as the counter's resolution needs.
    pub(crate) fn pairs(&self, n: u32, command: u32) -> Result<Column, Failure> {
        let times = u32::try_from(stamp::nanos(1).max(1))?;
        let round = Round {
            times,
            ..Round::default()
        };
        column(n, || {
            let took = self.round(command, round)?;
            Ok(stamp::nanos(took) / u64::from(times))
        })
    }
}

/// Measures `COLUMNS` columns of `n` values. The columns take turns, one value each, so that a
/// disturbance affects all of them.
pub(crate) fn columns<const COLUMNS: usize>(
    n: u32,
    mut one: impl FnMut(usize) -> Result<u64, Failure>,
) -> Result<[Column; COLUMNS], Failure> {
    let mut values = [const { Vec::new() }; COLUMNS];
    for values in &mut values {
        values.reserve_exact(usize::try_from(n)?);
    }
    for round in 0..usize::try_from(n)? + WARM_UP {
        for (column, values) in values.iter_mut().enumerate() {
            let value = one(column)?;
            if round >= WARM_UP {
                values.push(value);
            }
        }
    }
    let mut columns = [Column::constant(0, 0); COLUMNS];
    for (column, values) in columns.iter_mut().zip(values) {
        *column = Column::of(values).ok_or("no values")?;
    }
    Ok(columns)
}

/// Measures a column of `n` values, after a warm-up whose values are dropped.
pub(crate) fn column(
    n: u32,
    mut one: impl FnMut() -> Result<u64, Failure>,
) -> Result<Column, Failure> {
    // Allocated before the first measurement, so that no measurement allocates.
    let mut values = vec![0; usize::try_from(n)?];
    for _ in 0..WARM_UP {
        one()?;
    }
    for value in &mut values {
        *value = one()?;
    }
    Column::of(values).ok_or_else(|| "no values".into())
}
