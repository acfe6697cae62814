// SPDX-License-Identifier: GPL-2.0-only
//! The bars: limits that the figures must keep.

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// A figure and its limit: `value <= limit`.
pub(super) struct Bar {
    what: String,
    value: f64,
    limit: f64,
}

impl Bar {
    pub(super) fn is_met(&self) -> bool {
        self.value <= self.limit
    }
}

impl std::fmt::Display for Bar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let verdict = if self.is_met() { "met" } else { "NOT MET" };
        write!(
            f,
            "{:<64} {:>10.3}, bar {:>10.3}  {verdict}",
            self.what, self.value, self.limit
        )
    }
}

/// Every bar of a benchmark.
pub(super) fn all(name: &str, records: &[Value]) -> Result<Vec<Bar>> {
    let mut bars = Vec::new();
    for record in records {
        bars.extend(match name {
            "spi" => spi(record)?,
            "stax" => stax(record, records)?,
            _ => stage(record)?,
        });
    }
    Ok(bars)
}

fn case(record: &Value) -> Result<&str> {
    record["case"].as_str().context("a record without a case")
}

/// `machine, kernel, case`, for cases that several guests have.
fn place(record: &Value) -> String {
    let text = |field: &str| record[field].as_str().unwrap_or("?").to_owned();
    format!("{} {} {}", text("machine"), text("kernel"), text("case"))
}

fn spi(record: &Value) -> Result<Vec<Bar>> {
    let case = case(record)?;
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

/// The most instructions of an uncontended pair on x86_64, stamps excluded.
const PAIR: f64 = 60.0;

fn stax(record: &Value, records: &[Value]) -> Result<Vec<Bar>> {
    let case = case(record)?;
    let kit = number(&record["kit"], "p50")?;
    let Some(stage) = case.strip_prefix("uncontended-") else {
        return Ok(Vec::new());
    };
    let bar = |what: &str, value, limit| Bar {
        what: format!("{}: {what}", place(record)),
        value,
        limit,
    };
    if stage == "host" {
        return Ok(vec![bar("instructions", kit, PAIR)]);
    }
    let mutex = number(&record["peers"]["mutex"], "p50")?;
    let mut bars = vec![bar("median, bar: mutex's", kit, mutex)];
    if record["machine"] == "x86_64" {
        let stamps = |other: &&Value| {
            let same = |field| other[field] == record[field];
            same("machine") && same("kernel") && other["case"] == format!("nothing-{stage}")
        };
        let nothing = records.iter().find(stamps);
        let nothing = nothing.context("the case `nothing-*` is missing")?;
        let nothing = number(&nothing["kit"], "p50")?;
        bars.push(bar("median less two stamps", kit - nothing, PAIR));
    }
    Ok(bars)
}

/// Peers that have no bar, because they are no services:
/// - both sides build all services on `wake_up_process`, but it latches nothing, and its caller
///   must make sure that the thread still exists;
/// - the kernel refuses /dev/null's ioctl before it calls any driver.
const FLOORS: [&str; 2] = ["wake-up-process", "null"];

/// The allowed difference of two equal medians. A tick of the machine's timer is 16 instructions
/// long, and the figures are spread evenly over it, so chance may move a median to the next whole
/// number.
const CHANCE: f64 = 1.0;

/// No service costs more than any of mainline's.
fn stage(record: &Value) -> Result<Vec<Bar>> {
    let case = case(record)?;
    if case.starts_with("nothing") {
        return Ok(Vec::new());
    }
    let kit = number(&record["kit"], "p50")?;
    let peers = record["peers"].as_object();
    let peers = peers.context("a record without peers")?;
    let services = peers
        .iter()
        .filter(|(name, _)| !FLOORS.contains(&name.as_str()));
    let chance = if case.starts_with("timer") {
        CHANCE
    } else {
        0.0
    };
    services
        .map(|(name, column)| {
            Ok(Bar {
                what: format!("{case}: median, bar: {name}'s"),
                value: kit,
                limit: number(column, "p50")? + chance,
            })
        })
        .collect()
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
        spi(record).unwrap().iter().map(Bar::is_met).collect()
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
        assert!(spi(&record("dma-7B", 1)).is_err());
    }

    #[test]
    fn a_pair_is_held_to_a_mutex_and_without_its_stamps_to_sixty() {
        let records = |pair: u32| {
            let record = |case: &str, kit: u32| {
                json!({"case": case, "machine": "x86_64", "kernel": "6", "kit": {"p50": kit},
                "peers": {"mutex": {"p50": 90}}})
            };
            vec![record("nothing-oob", 20), record("uncontended-oob", pair)]
        };
        let met = |records: &[Value]| {
            let bars = all("stax", records).unwrap();
            bars.iter().map(Bar::is_met).collect::<Vec<_>>()
        };
        assert_eq!(met(&records(80)), [true, true]);
        assert_eq!(met(&records(81)), [true, false]);
        assert_eq!(met(&records(91)), [false, false]);
        assert!(all("stax", &records(80)[1..]).is_err());
    }

    #[test]
    fn a_service_is_held_to_each_of_its_peers() {
        let record = json!({"case": "wake-flag", "kit": {"p50": 10}, "peers": {
            "completion": {"p50": 12}, "other": {"p50": 9}, "wake-up-process": {"p50": 1}, "null": {"p50": 1}}});
        let bars = stage(&record).unwrap();
        assert_eq!(
            bars.iter().map(Bar::is_met).collect::<Vec<_>>(),
            [true, false]
        );
        let timer = |kit: u32| {
            let record = json!({"case": "timer-load", "kit": {"p50": kit}, "peers": {"hrtimer": {"p50": 20}}});
            stage(&record).unwrap().iter().all(Bar::is_met)
        };
        assert_eq!([timer(21), timer(22)], [true, false]);
        let nothing =
            json!({"case": "nothing-load", "kit": {"p50": 1}, "peers": {"c": {"p50": 0}}});
        assert!(stage(&nothing).unwrap().is_empty());
    }
}
