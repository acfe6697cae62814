// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask demo`: the control loop in a stock kernel, through the kit and through mainline.
//!
//! ```text
//!   10 kHz: guest -- out-of-band, in-band --> target/demo/closed-loop-10kHz.{svg,json}     side by side,
//!   15 kHz: guest -- out-of-band, in-band --> target/demo/closed-loop-15kHz.{svg,json}     one core each
//!              '-- its output --> a progress bar                        '--> a table
//! ```

mod table;
mod watch;

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use indicatif::MultiProgress;

use crate::machines::Name;
use crate::paths;
use crate::vm::Job;
use watch::Watch;

/// In kHz.
const RATES: [u32; 2] = [10, 15];
/// Guest time for each rate, out-of-band and in-band.
const SECONDS: u32 = 3;
const TIMEOUT: Duration = Duration::from_secs(1800);

/// Runs the demo. False if the kit missed a period or got a wrong frame, or if the load was too
/// low.
pub(crate) fn demo() -> Result<bool> {
    println!(
        "A motor's position loop at 10 and 15 kHz, out-of-band and in-band, under load,\n\
         {SECONDS} s each of a guest whose instructions are counted:"
    );
    let bars = MultiProgress::new();
    let watched = RATES.map(|rate| (rate, Watch::new(&bars, rate, periods(rate))));
    let shown = thread::scope(|scope| {
        watched
            .map(|(rate, watch)| scope.spawn(move || show(rate, watch)))
            .map(|guest| {
                guest
                    .join()
                    .map_err(|_| anyhow!("a guest's thread panicked"))?
            })
    });
    let mut kept = true;
    for shown in shown {
        let Shown { text, clean, files } = shown?;
        println!("\n{text}");
        for file in files {
            println!("{}", file.display());
        }
        kept &= clean;
    }
    Ok(kept)
}

/// The periods of one run.
fn periods(rate: u32) -> u64 {
    u64::from(rate) * 1_000 * u64::from(SECONDS)
}

fn job(rate: u32) -> Result<Job> {
    let command = format!(
        "closed-loop --compare --rate {rate}000 --seconds {SECONDS} --svg /out/closed-loop-{rate}kHz.svg \
         --json /out/closed-loop-{rate}kHz.json"
    );
    let command = command.split_whitespace().map(str::to_owned).collect();
    let mut job = Job::counted(Name::X86_64, None, command, &format!("demo-{rate}kHz"))?;
    job.timeout = TIMEOUT;
    Ok(job)
}

/// The result of a guest.
struct Shown {
    text: String,
    /// Whether no period was missed and no frame was wrong, under load, and the guest was well.
    clean: bool,
    files: Vec<PathBuf>,
}

fn show(rate: u32, mut watch: Watch) -> Result<Shown> {
    let job = job(rate)?;
    let outcome = job.run(&mut watch)?;
    let mut complaint = None;
    if let Some(trouble) = outcome.trouble() {
        complaint = Some(format!("{}\n{trouble}", outcome.log));
    } else if outcome.exit_status() != 0 {
        complaint = Some(watch.text());
    }
    let files = keep(&job.results.join("out"))?;
    let json = files
        .iter()
        .find(|file| file.ends_with(format!("closed-loop-{rate}kHz.json")));
    let table = match json {
        Some(json) => table::table(rate, &fs::read_to_string(json)?)?,
        None => format!("{rate} kHz: no figures\n"),
    };
    Ok(Shown {
        text: table + &complaint.clone().unwrap_or_default(),
        clean: complaint.is_none(),
        files,
    })
}

/// Moves the guest's files to the demo's folder.
fn keep(out: &Path) -> Result<Vec<PathBuf>> {
    let folder = paths::target().join("demo");
    fs::create_dir_all(&folder)?;
    let mut files = Vec::new();
    for entry in fs::read_dir(out).into_iter().flatten() {
        let entry = entry?;
        let to = folder.join(entry.file_name());
        fs::rename(entry.path(), &to).with_context(|| format!("cannot move {}", to.display()))?;
        files.push(to);
    }
    files.sort();
    Ok(files)
}
