// SPDX-License-Identifier: MIT OR Apache-2.0

//! What one exchanged frame costs. Runs in a guest whose instructions are counted, each a nanosecond of its time.
//!
//! ```text
//!   fifo   raspi3b   RUN, mainline's spidev, an empty system call     guest instructions
//!   dma    vboard    RUN, the frame's time on the wire                ns
//! ```
//!
//! Real-time priority, one processor; each call is measured by itself. The records go to a file as JSON.

mod dma;
mod fifo;
mod record;
mod series;
mod stamp;

use clap::{Parser, ValueEnum};
use oobkit::thread::Realtime;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Way {
    /// The processor moves the frame through the FIFO.
    Fifo,
    /// DMA moves the frame.
    Dma,
}

#[derive(Debug, Parser)]
#[command(about = "Measures what one exchanged frame costs")]
struct Cli {
    /// Which path of the driver.
    way: Way,
    /// How many calls each series measures.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    count: u32,
    /// The only processor to run on.
    #[arg(long, value_name = "N")]
    cpu: Option<usize>,
    /// The kit's device.
    #[arg(long, default_value = "/dev/oob/spidev0.0")]
    device: PathBuf,
    /// Where the records go.
    #[arg(long, value_name = "FILE")]
    json: PathBuf,
}

const PRIORITY: u8 = 90;

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("spi-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> Result<(), Box<dyn Error>> {
    Realtime {
        priority: PRIORITY,
        cpu: cli.cpu,
    }
    .apply()?;
    let count = usize::try_from(cli.count)?;
    let device: &Path = &cli.device;
    let records = match cli.way {
        Way::Fifo => fifo::run(count, device)?,
        Way::Dma => dma::run(count, device)?,
    };
    std::fs::write(&cli.json, serde_json::to_string_pretty(&records)? + "\n")?;
    Ok(())
}
