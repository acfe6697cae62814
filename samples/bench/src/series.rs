// SPDX-License-Identifier: MIT OR Apache-2.0

//! A series of single measurements, and its summary.
//!
//! ```text
//!   warm-up, 100 calls | begin = now, call, end = now | ... n times
//!                        value = end - begin - (time of two readings with nothing between them)
//! ```

use crate::stamp;
use serde::Serialize;
use std::error::Error;
use std::time::Duration;

/// Why a series was not measured.
pub(crate) type Failure = Box<dyn Error + Send + Sync>;

/// Calls before the first measured one. They fill caches, bind code lazily and take the branches of
/// a first call.
pub(crate) const WARM_UP: usize = 100;
/// The pause between set-up and the first call.
const SETTLE: Duration = Duration::from_millis(200);
/// The number of measurements with nothing inside. Their median is the time that a measurement
/// itself takes.
const EMPTY: usize = 1001;

/// The summary of a series. All fields but `n` are nanoseconds, which are instructions if the
/// emulator counts these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Column {
    pub(crate) n: u64,
    pub(crate) p50: u64,
    pub(crate) p999: u64,
    pub(crate) max: u64,
}

impl Column {
    /// The summary of a constant, as if it had been measured `n` times.
    pub(crate) const fn constant(n: u64, value: u64) -> Self {
        Self {
            n,
            p50: value,
            p999: value,
            max: value,
        }
    }

    /// The summary of measurements in nanoseconds. `None` if there are none.
    pub(crate) fn of(mut values: Vec<u64>) -> Option<Self> {
        values.sort_unstable();
        let last = values.len().checked_sub(1)?;
        // The smallest value that at least this share of all values does not exceed.
        let quantile = |thousandths: usize| {
            let rank = (values.len() * thousandths).div_ceil(1000);
            values.get(rank.saturating_sub(1)).copied()
        };
        Some(Self {
            n: u64::try_from(values.len()).ok()?,
            p50: quantile(500)?,
            p999: quantile(999)?,
            max: *values.get(last)?,
        })
    }
}

/// Measures single calls, and subtracts the time that a measurement itself takes.
pub(crate) struct Gauge {
    empty: u64,
}

impl Gauge {
    /// Measures the time that a measurement itself takes.
    pub(crate) fn new() -> Self {
        let mut values: Vec<u64> = (0..EMPTY)
            .map(|_| {
                let begin = stamp::now();
                stamp::now().saturating_sub(begin)
            })
            .collect();
        values.sort_unstable();
        Self {
            empty: values.get(EMPTY / 2).copied().unwrap_or(0),
        }
    }

    /// Measures how long `call` takes, in ticks.
    ///
    /// # Errors
    ///
    /// The error of `call`.
    #[inline(always)]
    pub(crate) fn one<E>(&self, call: &mut impl FnMut() -> Result<(), E>) -> Result<u64, E> {
        let begin = stamp::now();
        let result = call();
        let end = stamp::now();
        result.map(|()| end.saturating_sub(begin).saturating_sub(self.empty))
    }
}

/// Measures `n` calls one by one, in nanoseconds.
///
/// # Errors
///
/// The error of the first call that fails.
pub(crate) fn measure<E: std::error::Error + Send + Sync + 'static>(
    n: usize,
    mut call: impl FnMut() -> Result<(), E>,
) -> Result<Vec<u64>, Failure> {
    // Allocated before the first measurement, so that no measurement allocates.
    let mut ticks = vec![0; n];
    // After set-up, the kernel has deferred work left on some processor. If instructions are
    // counted, all processors share one time, so this work would be measured, too.
    std::thread::sleep(SETTLE);
    let gauge = Gauge::new();
    for _ in 0..WARM_UP {
        call()?;
    }
    for place in &mut ticks {
        *place = gauge.one(&mut call)?;
    }
    Ok(ticks.into_iter().map(stamp::nanos).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    #[test]
    fn quantiles_are_measured_values() {
        let column = Column::of((1..=1000).rev().collect());
        let expected = Column {
            n: 1000,
            p50: 500,
            p999: 999,
            max: 1000,
        };
        assert_eq!(column, Some(expected));
        assert_eq!(Column::of(vec![7]), Some(Column::constant(1, 7)));
        assert_eq!(Column::of(Vec::new()), None);
    }

    #[test]
    fn every_call_is_measured_once_after_the_warm_up() {
        let mut calls = 0;
        let values = measure(50, || {
            calls += 1;
            Ok::<(), Infallible>(())
        });
        assert_eq!(values.unwrap().len(), 50);
        assert_eq!(calls, 50 + WARM_UP);
    }

    #[test]
    fn a_failed_call_ends_the_series() {
        let values = measure(5, || Err(std::fmt::Error));
        assert!(values.is_err());
    }
}
