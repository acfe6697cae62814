// SPDX-License-Identifier: MIT OR Apache-2.0

//! The figures as text: a table with a column for each run, and histograms.

use crate::outcome::Outcome;
use hdrhistogram::Histogram;
use std::fmt::Write;

const BAR: usize = 50;
/// Bins of the histograms in the terminal, for each factor of ten.
const PER_DECADE: u32 = 5;

/// One bin of a histogram: the values from `low_ns` up to, but not including, `high_ns`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Bin {
    /// The lower bound.
    pub(crate) low_ns: f64,
    /// The upper bound.
    pub(crate) high_ns: f64,
    /// The number of values.
    pub(crate) count: u64,
}

/// The bins from the smallest to the largest value, including empty ones, with `per_decade` bins
/// for each factor of ten.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
pub(crate) fn bins(histogram: &Histogram<u64>, per_decade: u32) -> Vec<Bin> {
    let per_decade = f64::from(per_decade);
    let index = |ns: u64| ((ns.max(1) as f64).log10() * per_decade + 1e-9).floor() as i32;
    let edge = |i: i32| 10_f64.powf(f64::from(i) / per_decade);
    if histogram.is_empty() {
        return Vec::new();
    }
    let first = index(histogram.min());
    let last = index(histogram.max());
    let mut bins: Vec<Bin> = (first..=last)
        .map(|i| Bin {
            low_ns: edge(i),
            high_ns: edge(i + 1),
            count: 0,
        })
        .collect();
    for value in histogram.iter_recorded() {
        let place = (index(value.value_iterated_to()).clamp(first, last) - first) as usize;
        if let Some(bin) = bins.get_mut(place) {
            bin.count += value.count_at_value();
        }
    }
    bins
}

/// A time in microseconds. A larger time has fewer decimals.
#[allow(clippy::cast_precision_loss)]
fn us(ns: f64) -> String {
    let us = ns / 1e3;
    match us {
        us if us >= 100.0 => format!("{us:.0}"),
        us if us >= 10.0 => format!("{us:.1}"),
        us => format!("{us:.2}"),
    }
}

#[allow(clippy::cast_precision_loss)]
fn quantile(histogram: &Histogram<u64>, q: f64) -> String {
    us(histogram.value_at_quantile(q) as f64)
}

/// The table of all runs, side by side.
#[allow(clippy::cast_precision_loss)]
pub(crate) fn table(outcomes: &[Outcome]) -> String {
    type Cell<'a> = &'a dyn Fn(&Outcome) -> String;
    let rows: &[(&str, Cell<'_>)] = &[
        ("", &|o| o.title()),
        ("rate reached, Hz", &|o| {
            format!("{:.1}", o.figures.reached_hz())
        }),
        ("periods", &|o| o.figures.periods.to_string()),
        ("missed", &|o| o.figures.missed.to_string()),
        ("  without a frame", &|o| o.figures.skipped.to_string()),
        ("CRC errors", &|o| o.figures.crc_errors.to_string()),
        ("failed frames", &|o| o.figures.failed.to_string()),
        ("tracking rms, counts", &|o| {
            format!("{:.2}", o.figures.tracking.rms())
        }),
        ("tracking max, counts", &|o| {
            format!("{:.2}", o.figures.tracking.max())
        }),
        ("wake-up p50, us", &|o| quantile(&o.figures.wake, 0.5)),
        ("        p99", &|o| quantile(&o.figures.wake, 0.99)),
        ("        p99.9", &|o| quantile(&o.figures.wake, 0.999)),
        ("        max", &|o| us(o.figures.wake.max() as f64)),
        ("cycle   p50, us", &|o| quantile(&o.figures.cycle, 0.5)),
        ("        p99", &|o| quantile(&o.figures.cycle, 0.99)),
        ("        p99.9", &|o| quantile(&o.figures.cycle, 0.999)),
        ("        max", &|o| us(o.figures.cycle.max() as f64)),
        ("  of it the model, us", &|o| {
            o.model_ns.map_or("-".into(), |ns| us(ns as f64))
        }),
        ("  without it, mean, us", &|o| {
            o.net_cycle_ns().map_or("-".into(), us)
        }),
    ];
    let mut text = String::new();
    for (name, cell) in rows {
        let _ = write!(text, "{name:<24}");
        for outcome in outcomes {
            let _ = write!(text, "{:>16}", cell(outcome));
        }
        text.push('\n');
    }
    for outcome in outcomes {
        if let Some(rates) = &outcome.load {
            let _ = writeln!(text, "load, {}: {rates}", outcome.title());
        }
    }
    text
}

/// Both histograms of one run. The length of a bar is the logarithm of the count, so that single
/// outliers are visible.
pub(crate) fn histograms(outcome: &Outcome) -> String {
    let mut text = String::new();
    for (name, histogram) in [
        ("wake-up lateness", &outcome.figures.wake),
        ("cycle time", &outcome.figures.cycle),
    ] {
        let _ = writeln!(
            text,
            "{}: {name}, us (bars: log of the count)",
            outcome.title()
        );
        let bins = bins(histogram, PER_DECADE);
        let most = bins.iter().map(|bin| bin.count).max().unwrap_or(0);
        for bin in &bins {
            let (low, high) = (us(bin.low_ns), us(bin.high_ns));
            let bar = "#".repeat(bar_len(bin.count, most));
            let _ = writeln!(text, "  {low:>7} .. {high:>7} {:>9} {bar}", bin.count);
        }
    }
    text
}

/// The length of a bar: 0 for no value, at least 1 for any, `BAR` for the largest count.
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss
)]
fn bar_len(count: u64, most: u64) -> usize {
    if count == 0 {
        return 0;
    }
    let share = (1.0 + count as f64).ln() / (1.0 + most.max(1) as f64).ln();
    ((share * BAR as f64).round() as usize).clamp(1, BAR)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::outcome;

    #[test]
    fn every_value_is_in_its_bin() {
        let mut histogram = Histogram::<u64>::new_with_bounds(1, 1_000_000_000, 3).unwrap();
        for ns in [1, 1_000, 1_000, 9_999, 2_000_000_000] {
            histogram.saturating_record(ns);
        }
        let bins = bins(&histogram, 5);
        assert_eq!(bins.iter().map(|bin| bin.count).sum::<u64>(), 5);
        assert_eq!(bins[0].count, 1);
        let thousand = bins
            .iter()
            .find(|bin| bin.low_ns <= 1_000.5 && 1_000.5 < bin.high_ns)
            .unwrap();
        assert_eq!(thousand.count, 2);
        for pair in bins.windows(2) {
            assert_eq!(pair[0].high_ns, pair[1].low_ns);
        }
    }

    #[test]
    fn no_values_make_no_bins() {
        let empty = Histogram::<u64>::new_with_bounds(1, 1_000, 3).unwrap();
        assert_eq!(bins(&empty, 5), []);
    }

    #[test]
    fn a_bar_shows_one_value_in_a_million() {
        assert_eq!(bar_len(0, 1_000_000), 0);
        assert!(bar_len(1, 1_000_000) >= 1);
        assert_eq!(bar_len(1_000_000, 1_000_000), BAR);
        assert_eq!(bar_len(1, 1), BAR);
    }

    #[test]
    fn the_table_has_a_column_for_each_run() {
        let text = table(&[outcome("oob"), outcome("in-band")]);
        let head = text.lines().next().unwrap();
        assert!(
            head.contains("oob 10 kHz") && head.contains("in-band 10 kHz"),
            "{head}"
        );
        let missed = text
            .lines()
            .find(|line| line.starts_with("missed"))
            .unwrap();
        let cells: Vec<_> = missed.split_whitespace().skip(1).collect();
        assert_eq!(cells, ["0", "7"]);
        assert!(
            text.contains("rate reached, Hz                 10000.0"),
            "{text}"
        );
        assert!(text.contains("load, oob 10 kHz: "), "{text}");
        assert!(text.is_ascii());
    }

    #[test]
    fn the_histogram_accounts_for_every_period() {
        let text = histograms(&outcome("oob"));
        let total: u64 = text
            .lines()
            .filter(|line| line.contains(" .. "))
            .filter_map(|line| line.split_whitespace().nth(3)?.parse::<u64>().ok())
            .sum();
        assert_eq!(total, 2 * 10_000);
    }
}
