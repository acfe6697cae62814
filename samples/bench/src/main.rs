// SPDX-License-Identifier: MIT OR Apache-2.0

//! Measures what frames, the stage's services and the stage lock cost. It runs in a guest whose
//! emulator counts instructions: each takes one nanosecond of the guest's time.
//!
//! ```text
//!   command  needs            measures; compares with                        unit
//!   fifo     raspi3b          RUN; mainline's spidev, an empty system call   instructions
//!   dma      vboard           RUN; the frame's time on the wire              ns
//!   stax     /dev/oob/bench   the stage lock; mainline's locks               instructions
//!   stage    /dev/oob/bench   wake-ups, semaphore, timer, calls; mainline's  instructions
//! ```
//!
//! The measuring thread has real-time priority and runs on one processor. Each operation is
//! measured alone. The records are written to a file as JSON.

mod device;
mod dma;
mod fifo;
mod record;
mod series;
mod stage;
mod stamp;
mod stax;

use clap::{Args, Parser};
use device::PRIORITY;
use oobkit::thread::Realtime;
use record::Record;
use series::Failure;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(Debug, Parser)]
#[command(about = "Measures what the kit costs, beside mainline")]
enum Cli {
    /// A frame that the processor moves through the FIFO.
    Fifo(Frames),
    /// A frame that DMA moves.
    Dma(Frames),
    /// The stage lock.
    Stax(Common),
    /// The stage's services, idle and under load.
    Stage(Common),
    /// One worker of the load. It ends when its standard input is closed.
    #[command(hide = true)]
    LoadWorker {
        /// The work that it repeats.
        kind: inband_load::Kind,
    },
}

#[derive(Debug, Args)]
struct Common {
    /// The number of measurements in each series.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    count: u32,
    /// The only processor to run on.
    #[arg(long, value_name = "N")]
    cpu: Option<usize>,
    /// The file to which the records are written.
    #[arg(long, value_name = "FILE")]
    json: PathBuf,
}

#[derive(Debug, Args)]
struct Frames {
    #[command(flatten)]
    common: Common,
    /// The kit's device.
    #[arg(long, default_value = "/dev/oob/spidev0.0")]
    device: PathBuf,
}

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("oob-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> Result<(), Failure> {
    let (common, records) = match cli {
        Cli::Fifo(frames) => (&frames.common, frames.measure(fifo::run)?),
        Cli::Dma(frames) => (&frames.common, frames.measure(dma::run)?),
        Cli::Stax(common) => (common, stax::run(common.count, common.cpu)?),
        Cli::Stage(common) => (common, stage::run(common.count, common.cpu)?),
        Cli::LoadWorker { kind } => return Ok(inband_load::work(*kind)?),
    };
    std::fs::write(&common.json, serde_json::to_string_pretty(&records)? + "\n")?;
    Ok(())
}

/// Measures so many frames on that device.
type Measure = fn(usize, &Path) -> Result<Vec<Record>, Failure>;

impl Frames {
    fn measure(&self, measure: Measure) -> Result<Vec<Record>, Failure> {
        Realtime {
            priority: PRIORITY,
            cpu: self.common.cpu,
        }
        .apply()?;
        measure(usize::try_from(self.common.count)?, &self.device)
    }
}
