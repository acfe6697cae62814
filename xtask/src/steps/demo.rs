// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask demo`: the control loop in a stock kernel, the kit's way beside mainline's.
//!
//! ```text
//!   10 kHz: guest -- out-of-band, in-band --> table; target/demo/closed-loop-10kHz.{svg,json}     side by side,
//!   15 kHz: guest -- out-of-band, in-band --> table; target/demo/closed-loop-15kHz.{svg,json}     one core each
//! ```

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};

use crate::paths;
use crate::vm::Job;
use crate::vm::machine::Name;

/// In kHz.
const RATES: [u32; 2] = [10, 15];
/// Of the guest's time, for each rate and way.
const SECONDS: u32 = 3;
const TIMEOUT: Duration = Duration::from_secs(1800);

/// Runs it; false where the kit missed a period or got a wrong frame, or where the load was none.
pub(crate) fn demo() -> Result<bool> {
    let jobs = RATES.map(job);
    println!(
        "10 and 15 kHz, out-of-band and in-band, under load, {SECONDS} s each of a guest whose instructions are counted"
    );
    let shown = thread::scope(|scope| {
        jobs.map(|job| scope.spawn(|| job.and_then(|job| show(&job))))
            .map(|guest| {
                guest
                    .join()
                    .map_err(|_| anyhow!("a guest's thread panicked"))?
            })
    });
    let mut kept = true;
    for (rate, shown) in RATES.into_iter().zip(shown) {
        let Shown { text, clean, files } = shown?;
        println!("=== {rate} kHz\n{text}");
        for file in files {
            println!("{}", file.display());
        }
        kept &= clean;
    }
    Ok(kept)
}

fn job(rate: u32) -> Result<Job> {
    let command = format!(
        "closed-loop --compare --rate {rate}000 --seconds {SECONDS} --svg /out/closed-loop-{rate}kHz.svg \
         --json /out/closed-loop-{rate}kHz.json"
    );
    let command = command.split_whitespace().map(str::to_owned).collect();
    let mut job = Job::new(Name::X86_64.machine(), None, command)?;
    job.icount = true;
    job.append = super::CALM.map(str::to_owned).to_vec();
    job.timeout = TIMEOUT;
    job.results = paths::target().join(format!("vm/demo-{rate}kHz"));
    Ok(job)
}

/// What a guest came to.
struct Shown {
    text: String,
    /// No period missed and no wrong frame, under load, and the guest was well.
    clean: bool,
    files: Vec<PathBuf>,
}

fn show(job: &Job) -> Result<Shown> {
    let mut text = Vec::new();
    let outcome = job.run(&mut text)?;
    let mut text = String::from_utf8_lossy(&text).into_owned();
    if let Some(trouble) = outcome.trouble() {
        text.push_str(&format!("{}\n{trouble}\n", outcome.log));
    }
    let folder = paths::target().join("demo");
    fs::create_dir_all(&folder)?;
    let mut files = Vec::new();
    let out = job.results.join("out");
    for entry in fs::read_dir(&out).into_iter().flatten() {
        let entry = entry?;
        let to = folder.join(entry.file_name());
        fs::rename(entry.path(), &to).with_context(|| format!("cannot move {}", to.display()))?;
        files.push(to);
    }
    files.sort();
    Ok(Shown {
        text,
        clean: outcome.exit_status() == 0,
        files,
    })
}
