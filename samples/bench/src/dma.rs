// SPDX-License-Identifier: MIT OR Apache-2.0

//! Measures RUN on the DMA path of the virtual board, and compares it with the frame's time on the
//! wire.
//!
//! ```text
//!   read the model's cost | RUN | read the model's cost     (debugfs, outside the measured time)
//!   cycle = duration of RUN - the model's cost during RUN
//! ```

use crate::fifo::session;
use crate::record::Record;
use crate::series::{Column, Failure, Gauge, WARM_UP};
use crate::stamp;
use oobkit::thread;
use oobkit_abi::spi::PATH_DMA;
use std::fs;
use std::path::Path;

const LENGTHS: [u32; 3] = [32, 256, 1024];
/// At this clock, even the shortest frame goes by DMA.
const SPEED_HZ: u32 = 5_000_000;
const COST: &str = "/sys/kernel/debug/vboard/cost_ns";

/// Measures `n` frames of each length.
///
/// # Errors
///
/// [`Failure`]: why a series was not measured.
pub(crate) fn run(n: usize, device: &Path) -> Result<Vec<Record>, Failure> {
    let _attached = thread::attach()?;
    let mut records = Vec::new();
    for len in LENGTHS {
        let mut session = session(device, len, SPEED_HZ)?;
        let info = session.info()?;
        if info.path != PATH_DMA {
            return Err(format!("frames of {len} bytes do not go by DMA").into());
        }
        let mut run = || session.run();
        for _ in 0..WARM_UP {
            run()?;
        }
        let gauge = Gauge::new();
        let mut cycles = Vec::with_capacity(n);
        let mut models = Vec::with_capacity(n);
        for _ in 0..n {
            let before = number(COST)?;
            let cycle = stamp::nanos(gauge.one(&mut run)?);
            let model = number(COST)?.saturating_sub(before);
            cycles.push(cycle.saturating_sub(model));
            models.push(model);
        }
        let kit = Column::of(cycles).ok_or("no values")?;
        let mut record = Record::new(format!("dma-{len}B"), "ns", kit);
        record
            .peer("wire", Column::constant(kit.n, info.wire_ns))
            .model(Column::of(models).ok_or("no values")?);
        records.push(record);
    }
    Ok(records)
}

/// The present value of a debugfs file. The file is opened each time, because such a file cannot be
/// rewound.
fn number(path: &str) -> Result<u64, Failure> {
    let text = fs::read_to_string(path).map_err(|e| format!("{path}: {e}"))?;
    Ok(text.trim().parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_a_number_is_refused_by_name() {
        assert!(number("/dev/null").is_err());
        let error = number("/no/such/file").unwrap_err();
        assert!(error.to_string().contains("/no/such/file"), "{error}");
        assert!(number("/proc/sys/kernel/pid_max").is_ok_and(|n| n > 0));
    }
}
