// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask bench NAME`: measures in guests, compares the figures with the bars, writes
//! `target/bench/NAME.json`.
//!
//! ```text
//!   the benchmark's guests --- oob-bench --> /out/bench.json      callgrind, on this machine (stax)
//!        records, joined --> target/bench/NAME.json
//!        records x bars  --> a line each; any that is not met fails the command
//! ```

mod bars;
mod host;

use std::fs;
use std::io::stdout;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::machines::Name;
use crate::paths;
use crate::vm::Job;

/// One guest of a benchmark.
struct Guest {
    machine: Name,
    /// `None`: the machine's default kernel.
    kernel: Option<&'static str>,
    append: &'static str,
    command: &'static str,
}

/// The loop on raspi3b has a processor of its own. The virtual board's guest has only one.
const SPI: &[Guest] = &[
    Guest {
        machine: Name::Raspi3b,
        kernel: None,
        append: "isolcpus=3",
        command: "oob-bench fifo --cpu 3 --count 10000",
    },
    Guest {
        machine: Name::X86_64,
        kernel: None,
        append: "",
        command: "oob-bench dma --count 1000",
    },
];

/// Mainline's locks differ between kernels with and without PREEMPT_RT.
const STAX: &[Guest] = &[
    Guest {
        machine: Name::X86_64,
        kernel: None,
        append: "",
        command: "oob-bench stax --count 10000",
    },
    Guest {
        machine: Name::X86_64,
        kernel: Some("6.12-amd64"),
        append: "",
        command: "oob-bench stax --count 10000",
    },
    Guest {
        machine: Name::Raspi3b,
        kernel: None,
        append: "isolcpus=3",
        command: "oob-bench stax --cpu 3 --count 10000",
    },
];

const STAGE: &[Guest] = &[Guest {
    machine: Name::X86_64,
    kernel: None,
    append: "",
    command: "oob-bench stage --count 5000",
}];

const TIMEOUT: Duration = Duration::from_secs(900);

/// The names of the benchmarks.
pub(crate) const NAMES: [&str; 3] = ["spi", "stax", "stage"];

/// Runs the benchmark of this name. True if every bar was met.
pub(crate) fn bench(name: &str) -> Result<bool> {
    let (guests, mut records) = match name {
        "spi" => (SPI, Vec::new()),
        "stax" => (STAX, vec![host::pair()?]),
        "stage" => (STAGE, Vec::new()),
        _ => bail!(
            "there is no benchmark {name}; there are: {}",
            NAMES.join(", ")
        ),
    };
    for guest in guests {
        records.extend(measure(name, guest)?);
    }
    let folder = paths::target().join("bench");
    fs::create_dir_all(&folder)?;
    let path = folder.join(format!("{name}.json"));
    fs::write(&path, serde_json::to_string_pretty(&records)? + "\n")?;
    let mut met = true;
    for bar in bars::all(name, &records)? {
        println!("{bar}");
        met &= bar.is_met();
    }
    println!("{}", path.display());
    Ok(met)
}

/// A guest's records, with its machine's name.
fn measure(name: &str, guest: &Guest) -> Result<Vec<Value>> {
    let command = guest
        .command
        .split(' ')
        .chain(["--json", "/out/bench.json"]);
    let command = command.map(str::to_owned).collect();
    let results = format!("bench-{name}-{}", guest.machine.machine().name);
    let mut job = Job::counted(guest.machine, guest.kernel, command, &results)?;
    job.append
        .extend(guest.append.split_whitespace().map(str::to_owned));
    job.timeout = TIMEOUT;
    println!("{}, kernel {}", job.machine.name, job.kernel.name);
    let outcome = job.run(&mut stdout())?;
    if let Some(trouble) = outcome.trouble() {
        bail!("{trouble}\n{}", outcome.log);
    }
    if outcome.exit_status() != 0 {
        bail!("{} failed in the guest", guest.command);
    }
    let path = job.results.join("out/bench.json");
    let text = fs::read_to_string(&path).with_context(|| format!("no {}", path.display()))?;
    let mut records: Vec<Value> = serde_json::from_str(&text)?;
    for record in &mut records {
        if let Some(record) = record.as_object_mut() {
            record.insert("machine".to_owned(), job.machine.name.into());
        }
    }
    Ok(records)
}
