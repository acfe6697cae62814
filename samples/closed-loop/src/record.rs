// SPDX-License-Identifier: MIT OR Apache-2.0

//! The figures as JSON: the project's benchmark records, two for each rate (cycle time and wake-up
//! lateness), with histograms and the other figures of a loop.

use crate::figures::Figures;
use crate::outcome::{Outcome, Stage};
use crate::system;
use hdrhistogram::Histogram;
use inband_load::Rates;
use oobkit::thread::Core;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use std::collections::BTreeMap;

#[derive(Debug, Serialize)]
struct Record {
    case: String,
    machine: String,
    kernel: String,
    core: &'static str,
    unit: &'static str,
    rate_hz: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    kit: Option<Column>,
    peers: BTreeMap<&'static str, Column>,
}

/// The figures of one run. `p50` to `max` are in the record's unit.
#[derive(Debug, Serialize)]
struct Column {
    n: u64,
    p50: u64,
    p99: u64,
    p999: u64,
    max: u64,
    reached_hz: f64,
    periods: u64,
    missed: u64,
    skipped: u64,
    crc_errors: u64,
    failed: u64,
    tracking_rms: f64,
    tracking_max: f64,
    model_ns: Option<u64>,
    net_cycle_ns: Option<f64>,
    load: Option<Rates>,
    /// For each bin that is not empty: the largest time in it, and the number of times. Written on
    /// one line.
    histogram: Box<RawValue>,
}

impl Column {
    fn new(outcome: &Outcome, histogram: &Histogram<u64>) -> serde_json::Result<Self> {
        let figures = &outcome.figures;
        let bins: Vec<_> = histogram
            .iter_recorded()
            .map(|bin| (bin.value_iterated_to(), bin.count_at_value()))
            .collect();
        Ok(Self {
            n: histogram.len(),
            p50: histogram.value_at_quantile(0.5),
            p99: histogram.value_at_quantile(0.99),
            p999: histogram.value_at_quantile(0.999),
            max: histogram.max(),
            reached_hz: figures.reached_hz(),
            periods: figures.periods,
            missed: figures.missed,
            skipped: figures.skipped,
            crc_errors: figures.crc_errors,
            failed: figures.failed,
            tracking_rms: figures.tracking.rms(),
            tracking_max: figures.tracking.max(),
            model_ns: outcome.model_ns,
            net_cycle_ns: outcome.net_cycle_ns(),
            load: outcome.load,
            histogram: to_raw_value(&bins)?,
        })
    }
}

type Quantity = fn(&Figures) -> &Histogram<u64>;

/// The records of all runs, one array, ending in a newline.
///
/// # Errors
///
/// None is expected from these plain structures.
pub(crate) fn json(outcomes: &[Outcome]) -> serde_json::Result<String> {
    let quantities: [(&str, Quantity); 2] = [("", |f| &f.cycle), ("-wake", |f| &f.wake)];
    let mut rates: Vec<u64> = outcomes.iter().map(|outcome| outcome.rate_hz).collect();
    rates.sort_unstable();
    rates.dedup();
    let mut records = Vec::new();
    for rate in rates {
        for (suffix, quantity) in quantities {
            let column = |stage| {
                outcomes
                    .iter()
                    .find(|outcome| outcome.rate_hz == rate && outcome.stage == stage)
                    .map(|outcome| Column::new(outcome, quantity(&outcome.figures)))
                    .transpose()
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
                rate_hz: rate,
                kit: column(Stage::Oob)?,
                peers: column(Stage::Inband)?
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
    fn the_kit_and_its_peer_are_in_one_record() {
        let text = json(&[outcome("oob"), outcome("in-band")]).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value.as_array().map(Vec::len), Some(2));
        assert_eq!(value[0]["case"], "loop-10kHz");
        assert_eq!(value[1]["case"], "loop-10kHz-wake");
        assert_eq!(value[0]["unit"], "ns");
        assert_eq!(value[0]["rate_hz"], 10_000);
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
    fn the_quantiles_match_the_histogram() {
        let text = json(&[outcome("oob"), outcome("in-band")]).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        for record in value.as_array().unwrap() {
            for column in [&record["kit"], &record["peers"]["spidev"]] {
                let bins = column["histogram"].clone();
                let bins: Vec<(u64, u64)> = serde_json::from_value(bins).unwrap();
                assert!(bins.len() > 100 && bins.is_sorted_by(|a, b| a.0 < b.0));
                let n: u64 = bins.iter().map(|(_, count)| count).sum();
                assert_eq!(column["n"], n);
                assert_eq!(column["max"], bins.last().unwrap().0);
                let mut below = 0;
                let half = bins.iter().find(|(_, count)| {
                    below += count;
                    below * 2 >= n
                });
                assert_eq!(column["p50"], half.unwrap().0);
            }
        }
        // One bin on each line would hide the figures.
        assert!(text.lines().count() < 150, "{text}");
    }

    #[test]
    fn a_record_may_lack_the_kit_or_the_peer() {
        let value: serde_json::Value =
            serde_json::from_str(&json(&[outcome("in-band")]).unwrap()).unwrap();
        assert!(value[0].get("kit").is_none());
        let alone: serde_json::Value =
            serde_json::from_str(&json(&[outcome("oob")]).unwrap()).unwrap();
        assert_eq!(alone[0]["peers"], serde_json::json!({}));
    }
}
