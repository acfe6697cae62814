// SPDX-License-Identifier: MIT OR Apache-2.0

//! What frames, services and the stage lock cost. Runs in a guest whose instructions are counted, each a nanosecond of its
//! time.
//!
//! ```text
//!   fifo   raspi3b       RUN, mainline's spidev, an empty system call                  guest instructions
//!   dma    vboard        RUN, the frame's time on the wire                             ns
//!   stax   /dev/oob/bench    the stage lock, mainline's locks                          guest instructions
//!   stage  /dev/oob/bench    wake-ups, semaphore, timer, calls; mainline's own         guest instructions
//! ```
//!
//! Real-time priority, one processor; each operation is measured by itself. The records go to a file as JSON.

mod device;
mod dma;
mod fifo;
mod record;
mod series;
mod stage;
mod stamp;
mod stax;

use clap::{Args, Parser};
use oobkit::thread::Realtime;
use record::Record;
use std::error::Error;
use std::path::PathBuf;
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
    /// One worker of the load; ends when its standard input closes.
    #[command(hide = true)]
    LoadWorker {
        /// What it does.
        kind: inband_load::Kind,
    },
}

#[derive(Debug, Args)]
struct Common {
    /// How often each series measures.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    count: u32,
    /// The only processor to run on.
    #[arg(long, value_name = "N")]
    cpu: Option<usize>,
    /// Where the records go.
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

const PRIORITY: u8 = 90;

/// Whatever keeps a series from being measured.
type Failure = Box<dyn Error + Send + Sync>;

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

type Way = fn(usize, &std::path::Path) -> Result<Vec<Record>, Failure>;

impl Frames {
    fn measure(&self, way: Way) -> Result<Vec<Record>, Failure> {
        Realtime {
            priority: PRIORITY,
            cpu: self.common.cpu,
        }
        .apply()?;
        way(usize::try_from(self.common.count)?, &self.device)
    }
}
