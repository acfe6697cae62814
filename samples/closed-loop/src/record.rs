// SPDX-License-Identifier: MIT OR Apache-2.0

//! The figures as JSON: benchmark records of the project, two for each rate (cycle time and wake-up lateness), with
//! what only a loop has beside them.

use crate::figures::Figures;
use crate::outcome::{Outcome, Way};
use crate::system;
use hdrhistogram::Histogram;
use inband_load::Rates;
use oobkit::thread::Core;
use serde::Serialize;
use std::collections::BTreeMap;

#[derive(Debug, Serialize)]
struct Record {
    case: String,
    machine: String,
    kernel: String,
    core: &'static str,
    unit: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    kit: Option<Column>,
    peers: BTreeMap<&'static str, Column>,
}

/// One side of a record. The first five are times in the record's unit.
#[derive(Debug, Serialize)]
struct Column {
    n: u64,
    p50: u64,
    p99: u64,
    p999: u64,
    max: u64,
    periods: u64,
    missed: u64,
    skipped: u64,
    crc_errors: u64,
    failed: u64,
    tracking_rms: f64,
    tracking_max: f64,
    model_ns: Option<u64>,
    load: Option<Rates>,
}

impl Column {
    fn new(outcome: &Outcome, histogram: &Histogram<u64>) -> Self {
        let figures = &outcome.figures;
        Self {
            n: histogram.len(),
            p50: histogram.value_at_quantile(0.5),
            p99: histogram.value_at_quantile(0.99),
            p999: histogram.value_at_quantile(0.999),
            max: histogram.max(),
            periods: figures.periods,
            missed: figures.missed,
            skipped: figures.skipped,
            crc_errors: figures.crc_errors,
            failed: figures.failed,
            tracking_rms: figures.tracking.rms(),
            tracking_max: figures.tracking.max(),
            model_ns: outcome.model_ns,
            load: outcome.load,
        }
    }
}

type Quantity = fn(&Figures) -> &Histogram<u64>;

/// The records of all runs, one array, ending in a newline.
///
/// # Errors
///
/// None that these plain structures can cause.
pub(crate) fn json(outcomes: &[Outcome]) -> serde_json::Result<String> {
    let quantities: [(&str, Quantity); 2] = [("", |f| &f.cycle), ("-wake", |f| &f.wake)];
    let mut rates: Vec<u64> = outcomes.iter().map(|outcome| outcome.rate_hz).collect();
    rates.sort_unstable();
    rates.dedup();
    let mut records = Vec::new();
    for rate in rates {
        for (suffix, quantity) in quantities {
            let column = |way| {
                outcomes
                    .iter()
                    .find(|outcome| outcome.rate_hz == rate && outcome.way == way)
                    .map(|outcome| Column::new(outcome, quantity(&outcome.figures)))
            };
            records.push(Record {
                case: format!(
                    "loop-{}{suffix}",
                    crate::outcome::rate_name(rate).replace(' ', "")
                ),
                machine: system::machine(),
                kernel: system::kernel(),
                core: Core::here().name(),
                unit: "ns",
                kit: column(Way::Oob),
                peers: column(Way::Inband)
                    .map(|peer| ("spidev", peer))
                    .into_iter()
                    .collect(),
            });
        }
    }
    serde_json::to_string_pretty(&records).map(|text| text + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::outcome;

    #[test]
    fn the_kit_and_its_peer_stand_in_one_record() {
        let text = json(&[outcome("oob"), outcome("in-band")]).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value.as_array().map(Vec::len), Some(2));
        assert_eq!(value[0]["case"], "loop-10kHz");
        assert_eq!(value[1]["case"], "loop-10kHz-wake");
        assert_eq!(value[0]["unit"], "ns");
        assert_eq!(value[0]["core"], Core::here().name());
        assert_eq!(value[0]["kit"]["n"], 10_000);
        assert_eq!(value[0]["kit"]["missed"], 0);
        assert_eq!(value[0]["kit"]["model_ns"], 4_321);
        assert_eq!(value[0]["peers"]["spidev"]["missed"], 7);
        assert!(
            value[0]["peers"]["spidev"]["p999"].as_u64()
                <= value[0]["peers"]["spidev"]["max"].as_u64()
        );
        assert!(value[0]["kit"]["load"]["idle_percent"].is_number());
    }

    #[test]
    fn a_run_without_its_peer_says_so() {
        let value: serde_json::Value =
            serde_json::from_str(&json(&[outcome("in-band")]).unwrap()).unwrap();
        assert!(value[0].get("kit").is_none());
        let alone: serde_json::Value =
            serde_json::from_str(&json(&[outcome("oob")]).unwrap()).unwrap();
        assert_eq!(alone[0]["peers"], serde_json::json!({}));
    }
}
