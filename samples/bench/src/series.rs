// SPDX-License-Identifier: MIT OR Apache-2.0

//! A series of single measurements, and what is said of it.
//!
//! ```text
//!   warm-up, 100 calls | begin = now, call, end = now | ... n times
//!                        value = end - begin - what two readings with nothing between them take
//! ```

use crate::Failure;
use crate::stamp;
use serde::Serialize;
use std::time::Duration;

/// Calls before the first that counts: caches, lazily bound code, the branch of the first time.
pub(crate) const WARM_UP: usize = 100;
/// Between set-up and the first call.
const SETTLE: Duration = Duration::from_millis(200);
/// Measurements of nothing, whose median is what a measurement itself takes.
const EMPTY: usize = 1001;

/// What is said of a series; all but `n` in nanoseconds, which are instructions where those are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Column {
    pub(crate) n: u64,
    pub(crate) p50: u64,
    pub(crate) p999: u64,
    pub(crate) max: u64,
}

impl Column {
    /// Of a constant, as if it had been measured `n` times.
    pub(crate) const fn constant(n: u64, value: u64) -> Self {
        Self {
            n,
            p50: value,
            p999: value,
            max: value,
        }
    }

    /// Of measurements in nanoseconds; nothing of none.
    pub(crate) fn of(mut values: Vec<u64>) -> Option<Self> {
        values.sort_unstable();
        let last = values.len().checked_sub(1)?;
        // The smallest value that is not exceeded by that share of all.
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

/// Measures single calls, without what measuring takes.
pub(crate) struct Gauge {
    empty: u64,
}

impl Gauge {
    /// Measures nothing first.
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

    /// What `call` takes, in ticks.
    ///
    /// # Errors
    ///
    /// The call's.
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
/// The first call that fails.
pub(crate) fn measure<E: std::error::Error + Send + Sync + 'static>(
    n: usize,
    mut call: impl FnMut() -> Result<(), E>,
) -> Result<Vec<u64>, Failure> {
    // Before the first measurement, so that none of them allocates.
    let mut ticks = vec![0; n];
    // Set-up leaves the kernel work to be done later, on any processor; with counted instructions all share one time.
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
