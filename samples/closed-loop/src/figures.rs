// SPDX-License-Identifier: MIT OR Apache-2.0

//! What a loop counts while it runs; made before it, so that counting allocates nothing.

use hdrhistogram::Histogram;
use std::time::Duration;

/// Longest time that is told from longer ones, in ns.
const LONGEST_NS: u64 = 1_000_000_000;

/// Deviation from the reference, in counts.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tracking {
    samples: u64,
    squares: f64,
    max: f64,
}

impl Tracking {
    /// Adds one deviation.
    pub(crate) fn add(&mut self, error: f64) {
        self.samples += 1;
        self.squares += error * error;
        self.max = self.max.max(error.abs());
    }

    /// Root of the mean square.
    pub(crate) fn rms(&self) -> f64 {
        if self.samples == 0 {
            return 0.0;
        }
        #[allow(clippy::cast_precision_loss)]
        let samples = self.samples as f64;
        (self.squares / samples).sqrt()
    }

    /// Largest deviation.
    pub(crate) fn max(&self) -> f64 {
        self.max
    }
}

/// The counts of one loop.
#[derive(Clone, Debug)]
pub(crate) struct Figures {
    /// Periods gone by, with a frame or without.
    pub(crate) periods: u64,
    /// Periods whose frame was not finished before the next period's date.
    pub(crate) missed: u64,
    /// Of these, the ones that had no frame at all, since the next date had come before they began.
    pub(crate) skipped: u64,
    /// Frames that came back wrong: magic, CRC, or a sequence that does not follow.
    pub(crate) crc_errors: u64,
    /// Frames that the driver reported as failed.
    pub(crate) failed: u64,
    /// From the first frame's turn to the last one's.
    pub(crate) span: Duration,
    /// Deviation from the reference.
    pub(crate) tracking: Tracking,
    /// From a period's date to the thread's running, in ns.
    pub(crate) wake: Histogram<u64>,
    /// From the thread's running to the frame's end, in ns: control, exchange, return.
    pub(crate) cycle: Histogram<u64>,
}

impl Figures {
    /// No counts yet.
    pub(crate) fn new() -> Self {
        // 1 ns to 1 s with three digits: constants that the crate accepts.
        let empty =
            Histogram::new_with_bounds(1, LONGEST_NS, 3).expect("constant bounds are valid");
        Self {
            periods: 0,
            missed: 0,
            skipped: 0,
            crc_errors: 0,
            failed: 0,
            span: Duration::ZERO,
            tracking: Tracking::default(),
            wake: empty.clone(),
            cycle: empty,
        }
    }

    /// Frames a second, as they were begun; 0 for fewer than two.
    #[allow(clippy::cast_precision_loss)]
    pub(crate) fn reached_hz(&self) -> f64 {
        match self.cycle.len() {
            0 | 1 => 0.0,
            frames => (frames - 1) as f64 / self.span.as_secs_f64(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rms_and_max_are_those_of_the_samples() {
        let mut tracking = Tracking::default();
        assert_eq!(tracking.rms(), 0.0);
        for error in [3.0, -4.0, 0.0, 0.0] {
            tracking.add(error);
        }
        assert_eq!(tracking.rms(), 2.5);
        assert_eq!(tracking.max(), 4.0);
    }
}
