// SPDX-License-Identifier: GPL-2.0-only
//! A table of the figures of one rate, out-of-band beside in-band.

use std::fmt::Write;

use anyhow::{Context, Result};
use serde_json::Value;

/// How a figure is formatted.
type Cell = fn(f64) -> String;

/// The rows: title, suffix of the record's case, field, format.
const ROWS: [(&str, &str, &str, Cell); 12] = [
    ("rate reached, Hz", "", "reached_hz", whole),
    ("periods", "", "periods", whole),
    ("missed", "", "missed", whole),
    ("CRC errors", "", "crc_errors", whole),
    ("tracking error rms, counts", "", "tracking_rms", hundredths),
    ("tracking error max, counts", "", "tracking_max", hundredths),
    ("wake-up p50, us", "-wake", "p50", microseconds),
    ("wake-up max, us", "-wake", "max", microseconds),
    ("cycle p50, us", "", "p50", microseconds),
    ("cycle max, us", "", "max", microseconds),
    (
        "  of it the board's model, us",
        "",
        "model_ns",
        microseconds,
    ),
    ("  without it, mean, us", "", "net_cycle_ns", microseconds),
];

fn whole(value: f64) -> String {
    format!("{value:.0}")
}

fn hundredths(value: f64) -> String {
    format!("{value:.2}")
}

fn microseconds(ns: f64) -> String {
    format!("{:.1}", ns / 1e3)
}

/// The table of a rate, from the output of `closed-loop --json`.
pub(super) fn table(rate: u32, json: &str) -> Result<String> {
    let records: Vec<Value> = serde_json::from_str(json)?;
    let mut text = String::new();
    writeln!(
        text,
        "{:<32}{:>14}{:>14}",
        format!("{rate} kHz"),
        "out-of-band",
        "in-band"
    )?;
    for (name, ending, field, cell) in ROWS {
        let case = format!("loop-{rate}kHz{ending}");
        let record = records.iter().find(|record| record["case"] == case);
        let record = record.with_context(|| format!("no record {case}"))?;
        let column = |column: &Value| column[field].as_f64().map_or_else(|| "-".to_owned(), cell);
        writeln!(
            text,
            "{name:<32}{:>14}{:>14}",
            column(&record["kit"]),
            column(&record["peers"]["spidev"])
        )?;
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_way_has_its_column() {
        let side = |p50: u32, missed: u32| {
            json!({"periods": 30000, "missed": missed, "crc_errors": 0, "tracking_rms": 12.468,
                "tracking_max": 19.0, "p50": p50, "max": 47263, "model_ns": null,
                "reached_hz": 9999.96, "net_cycle_ns": 19300.2})
        };
        let record = |case: &str| json!({"case": case, "kit": side(41951, 0), "peers": {"spidev": side(47423, 7)}});
        let both = json!([record("loop-10kHz"), record("loop-10kHz-wake")]).to_string();
        let text = table(10, &both).unwrap();
        let row = |name: &str| {
            let line = text.lines().find(|line| line.starts_with(name)).unwrap();
            let cells = line.strip_prefix(name).unwrap().split_whitespace();
            cells.map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(row("10 kHz"), ["out-of-band", "in-band"]);
        assert_eq!(row("missed"), ["0", "7"]);
        assert_eq!(row("cycle p50, us"), ["42.0", "47.4"]);
        assert_eq!(row("tracking error rms, counts"), ["12.47", "12.47"]);
        assert_eq!(row("rate reached, Hz"), ["10000", "10000"]);
        assert_eq!(row("  of it the board's model, us"), ["-", "-"]);
        assert_eq!(row("  without it, mean, us"), ["19.3", "19.3"]);
        assert!(table(15, &both).is_err());
    }
}
