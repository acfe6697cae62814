// SPDX-License-Identifier: MIT OR Apache-2.0

//! RUN on the DMA path of the virtual board, beside the time that its frame takes on the wire.
//!
//! ```text
//!   cost of the model so far | RUN | cost of the model so far         (debugfs; outside what is timed)
//!   cycle = what RUN took - what the model cost meanwhile
//! ```

use crate::fifo::session;
use crate::record::Record;
use crate::series::{Column, Gauge, WARM_UP};
use crate::stamp;
use oobkit::thread;
use oobkit_abi::spi::PATH_DMA;
use std::error::Error;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

const LENGTHS: [u32; 3] = [32, 256, 1024];
/// Slow enough for the shortest of them to go by DMA.
const SPEED_HZ: u32 = 5_000_000;
const COST: &str = "/sys/kernel/debug/vboard/cost_ns";

/// Measures `n` frames of each length.
///
/// # Errors
///
/// Whatever keeps a series from being measured.
pub(crate) fn run(n: usize, device: &Path) -> Result<Vec<Record>, Box<dyn Error>> {
    let _attached = thread::attach()?;
    let cost = File::open(COST).map_err(|e| format!("{COST}: {e}"))?;
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
            let before = number(&cost)?;
            let cycle = stamp::nanos(gauge.one(&mut run)?);
            let model = number(&cost)?.saturating_sub(before);
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

/// The number that a debugfs file holds now.
fn number(file: &File) -> Result<u64, Box<dyn Error>> {
    let mut text = [0; 24];
    let len = file.read_at(&mut text, 0)?;
    let text = std::str::from_utf8(text.get(..len).unwrap_or_default())?;
    Ok(text.trim().parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_read_from_the_start_each_time() {
        let path = std::env::temp_dir().join(format!("spi-bench-{}", std::process::id()));
        std::fs::write(&path, "1234\n").unwrap();
        let file = File::open(&path).unwrap();
        let read = [number(&file).unwrap(), number(&file).unwrap()];
        std::fs::remove_file(&path).unwrap();
        assert_eq!(read, [1234, 1234]);
    }
}
