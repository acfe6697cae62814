// SPDX-License-Identifier: MIT OR Apache-2.0

//! The figures of a loop. They are allocated before it runs, so that counting does not allocate.

use hdrhistogram::Histogram;
use std::time::Duration;

/// The longest time that the histograms can hold, in ns. Longer ones count as this.
const LONGEST_NS: u64 = 1_000_000_000;

/// The deviation from the reference, in encoder counts.
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

    /// The root of the mean square.
    pub(crate) fn rms(&self) -> f64 {
        if self.samples == 0 {
            return 0.0;
        }
        #[allow(clippy::cast_precision_loss)]
        let samples = self.samples as f64;
        (self.squares / samples).sqrt()
    }

    /// The largest deviation.
    pub(crate) fn max(&self) -> f64 {
        self.max
    }
}

/// The figures of one loop.
#[derive(Clone, Debug)]
pub(crate) struct Figures {
    /// Periods so far, with or without a frame.
    pub(crate) periods: u64,
    /// Periods whose frame had not ended by the next period's date.
    pub(crate) missed: u64,
    /// Missed periods without a frame, because the next period's date came before they began.
    pub(crate) skipped: u64,
    /// Frames whose status was wrong: its magic, CRC or sequence number.
    pub(crate) crc_errors: u64,
    /// Frames that the driver reported as failed.
    pub(crate) failed: u64,
    /// From the start of the first frame to the start of the last.
    pub(crate) span: Duration,
    /// The deviation from the reference.
    pub(crate) tracking: Tracking,
    /// From a period's date until the thread runs, in ns.
    pub(crate) wake: Histogram<u64>,
    /// From the thread's wake-up until the frame has ended, in ns: control, exchange, return.
    pub(crate) cycle: Histogram<u64>,
}

impl Figures {
    /// Figures with all counts at zero.
    pub(crate) fn new() -> Self {
        // The bounds, 1 ns to 1 s with three digits, are valid constants.
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

    /// Frames started per second. 0 for fewer than two frames.
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
    fn rms_and_max_match_the_samples() {
        let mut tracking = Tracking::default();
        assert_eq!(tracking.rms(), 0.0);
        for error in [3.0, -4.0, 0.0, 0.0] {
            tracking.add(error);
        }
        assert_eq!(tracking.rms(), 2.5);
        assert_eq!(tracking.max(), 4.0);
    }
}
