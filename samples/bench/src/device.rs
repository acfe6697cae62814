// SPDX-License-Identifier: GPL-2.0-only

//! `/dev/oob/bench`, and threads of either stage that use it.

use crate::Failure;
use crate::series::{Column, WARM_UP};
use crate::stamp;
use oob_trial::bench::{PATH, Round};
use oobkit::thread::{self, Realtime};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::thread::{Scope, ScopedJoinHandle};

/// Which stage a thread belongs to.
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

/// Runs `work` in a real-time thread of that stage.
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

/// What the thread gave.
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

    /// A call without an argument.
    pub(crate) fn call(&self, command: u32) -> io::Result<()> {
        // SAFETY: such a command takes no argument.
        let result = unsafe { libc::ioctl(self.0.as_raw_fd(), command.into()) };
        match result {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(()),
        }
    }

    /// What the kernel timed.
    pub(crate) fn round(&self, command: u32, mut round: Round) -> io::Result<u64> {
        // SAFETY: the argument of all these commands, which outlives the call.
        let result = unsafe { libc::ioctl(self.0.as_raw_fd(), command.into(), &raw mut round) };
        match result {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(round.took),
        }
    }

    /// Pairs: as often in one measurement as the counter is too coarse for one instruction.
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

/// As many columns of `n` values as there are ways to measure, one value of each in turn: so whatever goes on beside them
/// disturbs all alike.
pub(crate) fn columns<const WAYS: usize>(
    n: u32,
    mut one: impl FnMut(usize) -> Result<u64, Failure>,
) -> Result<[Column; WAYS], Failure> {
    let mut values = [const { Vec::new() }; WAYS];
    for values in &mut values {
        values.reserve_exact(usize::try_from(n)?);
    }
    for round in 0..usize::try_from(n)? + WARM_UP {
        for (way, values) in values.iter_mut().enumerate() {
            let value = one(way)?;
            if round >= WARM_UP {
                values.push(value);
            }
        }
    }
    let mut columns = [Column::constant(0, 0); WAYS];
    for (column, values) in columns.iter_mut().zip(values) {
        *column = Column::of(values).ok_or("no values")?;
    }
    Ok(columns)
}

/// A column of `n` values; those of a warm-up are dropped.
pub(crate) fn column(
    n: u32,
    mut one: impl FnMut() -> Result<u64, Failure>,
) -> Result<Column, Failure> {
    // Before the first measurement, so that none of them allocates.
    let mut values = vec![0; usize::try_from(n)?];
    for _ in 0..WARM_UP {
        one()?;
    }
    for value in &mut values {
        *value = one()?;
    }
    Column::of(values).ok_or_else(|| "no values".into())
}
