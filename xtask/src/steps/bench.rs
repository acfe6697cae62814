// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask bench NAME`: measures in guests, holds the figures against the bars, writes `target/bench/NAME.json`.
//!
//! ```text
//!   raspi3b guest, vboard guest --- spi-bench --> /out/spi.json
//!        records, joined --> target/bench/spi.json
//!        records x bars  --> a line each; any that is not met fails the command
//! ```

use std::fs;
use std::io::stdout;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::paths;
use crate::vm::Job;
use crate::vm::machine::Name;

/// One guest of a benchmark.
struct Guest {
    machine: Name,
    append: &'static str,
    command: &'static str,
}

/// The raspi3b's loop has a processor of its own; the virtual board's guest has only one.
const SPI: [Guest; 2] = [
    Guest {
        machine: Name::Raspi3b,
        append: "isolcpus=3",
        command: "spi-bench fifo --cpu 3 --count 10000 --json /out/spi.json",
    },
    Guest {
        machine: Name::X86_64,
        append: "",
        command: "spi-bench dma --count 1000 --json /out/spi.json",
    },
];

const TIMEOUT: Duration = Duration::from_secs(900);

/// Runs the benchmark of this name.
pub(crate) fn bench(name: &str) -> Result<ExitCode> {
    if name != "spi" {
        bail!("there is no benchmark {name}; there is: spi");
    }
    let mut records = Vec::new();
    for guest in &SPI {
        records.extend(measure(name, guest)?);
    }
    let folder = paths::target().join("bench");
    fs::create_dir_all(&folder)?;
    let path = folder.join(format!("{name}.json"));
    fs::write(&path, serde_json::to_string_pretty(&records)? + "\n")?;
    let mut met = true;
    for record in &records {
        for bar in bars(record)? {
            println!("{bar}");
            met &= bar.is_met();
        }
    }
    println!("{}", path.display());
    Ok(ExitCode::from(u8::from(!met)))
}

/// A guest's records, with its machine's name.
fn measure(name: &str, guest: &Guest) -> Result<Vec<Value>> {
    let command = guest.command.split(' ').map(str::to_owned).collect();
    let mut job = Job::new(guest.machine.machine(), None, command)?;
    job.icount = true;
    let append = guest.append.split_whitespace();
    job.append = append.chain(super::CALM).map(str::to_owned).collect();
    job.timeout = TIMEOUT;
    job.results = paths::target()
        .join("vm")
        .join(format!("bench-{name}-{}", job.machine.name));
    println!("{}, kernel {}", job.machine.name, job.kernel.name);
    let outcome = job.run(&mut stdout())?;
    if let Some(trouble) = outcome.trouble() {
        bail!("{trouble}\n{}", outcome.log);
    }
    if outcome.exit_status() != 0 {
        bail!("{} failed in the guest", guest.command);
    }
    let path = job.results.join(format!("out/{name}.json"));
    let text = fs::read_to_string(&path).with_context(|| format!("no {}", path.display()))?;
    let mut records: Vec<Value> = serde_json::from_str(&text)?;
    for record in &mut records {
        if let Some(record) = record.as_object_mut() {
            record.insert("machine".to_owned(), job.machine.name.into());
        }
    }
    Ok(records)
}

/// What a case is held to: `value <= limit`.
struct Bar {
    what: String,
    value: f64,
    limit: f64,
}

impl Bar {
    fn is_met(&self) -> bool {
        self.value <= self.limit
    }
}

impl std::fmt::Display for Bar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let verdict = if self.is_met() { "met" } else { "NOT MET" };
        write!(
            f,
            "{:<52} {:>10.3}, bar {:>10.3}  {verdict}",
            self.what, self.value, self.limit
        )
    }
}

/// The bars of a record.
fn bars(record: &Value) -> Result<Vec<Bar>> {
    let case = record["case"].as_str().context("a record without a case")?;
    let kit = |field| number(&record["kit"], field);
    let peer = |name: &str, field| number(&record["peers"][name], field);
    let bar = |what: &str, value, limit| Bar {
        what: format!("{case}: {what}"),
        value,
        limit,
    };
    if case.starts_with("fifo-") {
        let jitter = kit("max")? - kit("p50")?;
        let empty = peer("empty-ioctl", "max")? - peer("empty-ioctl", "p50")?;
        return Ok(vec![
            bar(
                "median / spidev's",
                kit("p50")? / peer("spidev", "p50")?,
                0.2,
            ),
            bar("worst above median, instructions", jitter, empty * 1.1),
        ]);
    }
    let limit = match case {
        "dma-32B" => 1.15,
        "dma-256B" => 1.05,
        "dma-1024B" => 1.02,
        _ => bail!("there is no bar for {case}"),
    };
    let ratio = kit("p50")? / peer("wire", "p50")?;
    Ok(vec![bar("median cycle / wire time", ratio, limit)])
}

fn number(column: &Value, field: &str) -> Result<f64> {
    column[field]
        .as_f64()
        .with_context(|| format!("a record without {field}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn met(record: &Value) -> Vec<bool> {
        bars(record).unwrap().iter().map(Bar::is_met).collect()
    }

    #[test]
    fn a_fifo_case_is_held_to_a_fifth_and_to_an_empty_call() {
        let record = |p50: u32, max: u32| {
            json!({"case": "fifo-8B", "kit": {"p50": p50, "max": max}, "peers": {
                "spidev": {"p50": 5000, "max": 9000},
                "empty-ioctl": {"p50": 300, "max": 1300},
            }})
        };
        assert_eq!(met(&record(1000, 2100)), [true, true]);
        assert_eq!(met(&record(1001, 2102)), [false, false]);
    }

    #[test]
    fn a_dma_case_is_held_to_the_wire() {
        let record = |case: &str, p50: u32| json!({"case": case, "kit": {"p50": p50}, "peers": {"wire": {"p50": 1000}}});
        assert_eq!(met(&record("dma-32B", 1150)), [true]);
        assert_eq!(met(&record("dma-256B", 1051)), [false]);
        assert_eq!(met(&record("dma-1024B", 1021)), [false]);
        assert!(bars(&record("dma-7B", 1)).is_err());
    }
}
