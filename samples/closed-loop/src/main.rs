// SPDX-License-Identifier: MIT OR Apache-2.0

//! A motor's position loop over SPI: out-of-band through the kit, or in-band through mainline's
//! spidev.
//!
//! ```text
//!   args --- outcome::carry_out ---+--- real-time thread: run::run --- link --- device
//!               |                  +--- this thread: progress bar
//!               |                  +--- child processes: load
//!               +--- report (terminal), record (JSON), chart (SVG)
//! ```
//!
//! The device is `/dev/oob/spidevB.0`, or in-band `/dev/spidevB.0`.
//!
//! Exit status: 0 if all went well; 1 if an out-of-band run missed a period or received a wrong
//! frame, or if the machine was idle for 1 % of a run under load or more; 2 if a run could not be
//! carried out.

mod chart;
mod control;
mod figures;
mod link;
mod outcome;
mod record;
mod report;
mod run;
mod schedule;
mod system;
#[cfg(test)]
mod testing;

use clap::{Args, Parser, Subcommand};
use oobkit::thread::Realtime;
use outcome::{Outcome, Plan, Stage};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// Runs a motor's position loop over SPI and reports how well it kept its dates.
#[derive(Debug, Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Extra>,
    #[command(flatten)]
    run: Run,
}

#[derive(Debug, Args)]
struct Run {
    /// Periods per second [default: 10000; with --compare: 10000 and 15000].
    #[arg(long, value_name = "HZ", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    rate: Option<u64>,
    /// The duration of each run.
    #[arg(long, value_name = "S", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,
    /// SCHED_FIFO priority of the loop.
    #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(u8).range(1..=98))]
    priority: u8,
    /// The only CPU that the loop runs on.
    #[arg(long, value_name = "N")]
    cpu: Option<usize>,
    /// The kit's device. In-band, the device of the same name in /dev is used [default: the first
    /// /dev/oob/spidev*.0].
    #[arg(long, value_name = "PATH")]
    device: Option<PathBuf>,
    /// Use mainline's spidev.
    #[arg(long)]
    inband: bool,
    /// Run the in-band load beside the loop.
    #[arg(long)]
    load: bool,
    /// Run each rate out-of-band and in-band, under load, and show the figures side by side.
    #[arg(long, conflicts_with_all = ["inband", "load"])]
    compare: bool,
    /// Write the figures as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the histograms as SVG.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Extra {
    /// Runs the in-band load alone and reports its rates.
    Load {
        /// The duration.
        #[arg(long, value_name = "S", default_value_t = 3)]
        seconds: u64,
    },
    /// One worker of the load. It ends when its standard input is closed.
    #[command(hide = true)]
    LoadWorker {
        /// The work that it repeats.
        kind: inband_load::Kind,
    },
}

/// The default rates of `--compare`.
const COMPARED: [u64; 2] = [10_000, 15_000];

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command {
        None => run_all(&cli.run),
        Some(Extra::Load { seconds }) => load_alone(seconds),
        Some(Extra::LoadWorker { kind }) => inband_load::work(kind)
            .map(|()| ExitCode::SUCCESS)
            .map_err(Box::from),
    };
    result.unwrap_or_else(|error| {
        eprintln!("closed-loop: {error}");
        ExitCode::from(2)
    })
}

fn load_alone(seconds: u64) -> Result<ExitCode, Box<dyn Error>> {
    let load = inband_load::Load::start()?;
    std::thread::sleep(Duration::from_secs(seconds));
    println!("{}", load.stop()?);
    Ok(ExitCode::SUCCESS)
}

fn run_all(run: &Run) -> Result<ExitCode, Box<dyn Error>> {
    let mut outcomes = Vec::new();
    for plan in plans(run)? {
        let title = plan.title();
        let outcome = outcome::carry_out(&plan).map_err(|e| format!("{title}: {e}"))?;
        print!("{}", report::histograms(&outcome));
        outcomes.push(outcome);
    }
    print!("{}", report::table(&outcomes));
    if let Some(path) = &run.json {
        write(path, &record::json(&outcomes)?)?;
    }
    if let Some(path) = &run.svg {
        write(path, &chart::svg(&outcomes)?)?;
    }
    Ok(verdict(&outcomes))
}

fn plans(run: &Run) -> Result<Vec<Plan>, Box<dyn Error>> {
    let device = match &run.device {
        Some(path) => path.clone(),
        None => system::find_device(Path::new("/dev/oob")).ok_or(
            "no /dev/oob/spidev*.0; load the kit's modules, or name the device by --device",
        )?,
    };
    let stages = match (run.compare, run.inband) {
        (true, _) => &[Stage::Oob, Stage::Inband][..],
        (false, false) => &[Stage::Oob],
        (false, true) => &[Stage::Inband],
    };
    let [first, ..] = COMPARED;
    let rates = match run.rate {
        None if run.compare => COMPARED.to_vec(),
        rate => vec![rate.unwrap_or(first)],
    };
    let runs = stages
        .iter()
        .flat_map(|stage| rates.iter().map(move |rate| (*stage, *rate)));
    let plan = |(stage, rate_hz)| Plan {
        stage,
        device: device.clone(),
        rate_hz,
        seconds: run.seconds,
        load: run.load || run.compare,
        realtime: Realtime {
            priority: run.priority,
            cpu: run.cpu,
        },
    };
    Ok(runs.map(plan).collect())
}

fn write(path: &Path, text: &str) -> Result<(), Box<dyn Error>> {
    std::fs::write(path, text).map_err(|e| format!("cannot write {}: {e}", path.display()).into())
}

/// The exit status. Only out-of-band runs must be without a miss: the in-band runs are there for
/// comparison. The load must have been real in both.
fn verdict(outcomes: &[Outcome]) -> ExitCode {
    let kept = outcomes.iter().all(|outcome| match outcome.stage {
        Stage::Oob => outcome.is_clean(),
        Stage::Inband => outcome.load_held(),
    });
    ExitCode::from(u8::from(!kept))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::outcome;

    fn parse(args: &[&str]) -> Result<Cli, clap::Error> {
        Cli::try_parse_from([&["closed-loop"], args].concat())
    }

    #[test]
    fn compare_is_four_runs_under_load() {
        let cli = parse(&[
            "--compare",
            "--seconds",
            "2",
            "--device",
            "/dev/oob/spidev1.0",
        ])
        .unwrap();
        let plans = plans(&cli.run).unwrap();
        let runs: Vec<_> = plans
            .iter()
            .map(|plan| (plan.stage, plan.rate_hz))
            .collect();
        let expected = [
            (Stage::Oob, 10_000),
            (Stage::Oob, 15_000),
            (Stage::Inband, 10_000),
            (Stage::Inband, 15_000),
        ];
        assert_eq!(runs, expected);
        assert!(plans.iter().all(|plan| plan.load && plan.seconds == 2));
    }

    #[test]
    fn compare_with_a_rate_is_two_runs() {
        let cli = parse(&["--compare", "--rate", "500", "--device", "/dev/x"]).unwrap();
        let plans = plans(&cli.run).unwrap();
        let runs: Vec<_> = plans
            .iter()
            .map(|plan| (plan.stage, plan.rate_hz))
            .collect();
        assert_eq!(runs, [(Stage::Oob, 500), (Stage::Inband, 500)]);
    }

    #[test]
    fn without_options_there_is_one_run() {
        let cli = parse(&["--device", "/dev/x"]).unwrap();
        let plans = plans(&cli.run).unwrap();
        let runs: Vec<_> = plans
            .iter()
            .map(|plan| (plan.stage, plan.rate_hz))
            .collect();
        assert_eq!(runs, [(Stage::Oob, 10_000)]);
        assert!(plans.iter().all(|plan| !plan.load));
    }

    #[test]
    fn invalid_arguments_are_refused() {
        assert!(parse(&["--rate", "0"]).is_err());
        assert!(parse(&["--priority", "99"]).is_err());
        assert!(parse(&["--compare", "--inband"]).is_err());
        assert!(parse(&["load-worker", "nap"]).is_err());
        assert!(parse(&["load", "--seconds", "1"]).is_ok());
    }

    #[test]
    fn only_the_out_of_band_run_must_be_clean() {
        let mut oob = outcome("oob");
        let inband = outcome("in-band");
        assert_eq!(verdict(&[oob.clone(), inband]), ExitCode::SUCCESS);
        oob.figures.missed = 1;
        assert_eq!(verdict(&[oob]), ExitCode::FAILURE);
    }

    #[test]
    fn a_run_whose_load_left_the_machine_idle_fails() {
        for stage in ["oob", "in-band"] {
            for (idle_percent, status) in [
                (Some(0.5), ExitCode::SUCCESS),
                (Some(1.0), ExitCode::FAILURE),
                (None, ExitCode::FAILURE),
            ] {
                let mut outcome = outcome(stage);
                if let Some(rates) = &mut outcome.load {
                    rates.idle_percent = idle_percent;
                }
                assert_eq!(verdict(&[outcome]), status, "{stage}, {idle_percent:?}");
            }
            let mut alone = outcome(stage);
            alone.load = None;
            assert_eq!(verdict(&[alone]), ExitCode::SUCCESS);
        }
    }
}
