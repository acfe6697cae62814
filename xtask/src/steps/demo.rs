// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask demo`: the control loop in a stock kernel, the kit's way beside mainline's.

use std::fs;
use std::io::stdout;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::paths;
use crate::vm::Job;
use crate::vm::machine::Name;

/// What is shown: 10 and 15 kHz, each way, under load, for so many seconds of the guest's time each.
const COMMAND: &str =
    "closed-loop --compare --seconds 3 --svg /out/closed-loop.svg --json /out/closed-loop.json";
const TIMEOUT: Duration = Duration::from_secs(1800);

/// Runs it; fails where the kit missed a period or got a wrong frame.
pub(crate) fn demo() -> Result<ExitCode> {
    let command = COMMAND.split_whitespace().map(str::to_owned).collect();
    let mut job = Job::new(Name::X86_64.machine(), None, command)?;
    job.icount = true;
    job.append = super::CALM.map(str::to_owned).to_vec();
    job.timeout = TIMEOUT;
    job.results = paths::target().join("vm/demo");
    println!(
        "kernel {}: 10 and 15 kHz, out-of-band and in-band, under load",
        job.kernel.name
    );
    let outcome = job.run(&mut stdout())?;
    if let Some(trouble) = outcome.trouble() {
        eprintln!("--- the kernel log's end ---\n{}\n---", outcome.log);
        eprintln!("xtask: demo: {trouble}");
    }
    let folder = paths::target().join("demo");
    fs::create_dir_all(&folder)?;
    let out = job.results.join("out");
    for name in ["closed-loop.svg", "closed-loop.json"] {
        let to = folder.join(name);
        match fs::rename(out.join(name), &to) {
            Ok(()) => println!("{}", to.display()),
            Err(error) if outcome.exit_status() == 0 => {
                return Err(error).with_context(|| format!("the guest left no {name}"));
            }
            Err(_) => {}
        }
    }
    Ok(ExitCode::from(
        u8::try_from(outcome.exit_status()).unwrap_or(u8::MAX),
    ))
}
