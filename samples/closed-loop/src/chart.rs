// SPDX-License-Identifier: MIT OR Apache-2.0

//! The histograms as one SVG, with a panel for each run. All panels have the same logarithmic axes.

use crate::outcome::Outcome;
use crate::report::{Bin, bins};
use plotters::coord::Shift;
use plotters::prelude::*;
use std::error::Error;
use std::ops::Range;

const WIDTH: u32 = 960;
const PANEL_HEIGHT: u32 = 240;
/// Bins for each factor of ten.
const PER_DECADE: u32 = 20;
/// The lower end of the bars on the logarithmic axis, below a count of one.
const FLOOR: f64 = 0.7;
const WAKE: RGBColor = RGBColor(0x1b, 0x6c, 0xa8);
const CYCLE: RGBColor = RGBColor(0xd9, 0x6b, 0x0b);
const PERIOD: RGBColor = RGBColor(0xb0, 0x10, 0x30);

struct Panel<'a> {
    outcome: &'a Outcome,
    wake: Vec<Bin>,
    cycle: Vec<Bin>,
}

/// Draws `outcomes`, and returns the content of the SVG file.
///
/// # Errors
///
/// Those of the drawing library. None is expected.
pub(crate) fn svg(outcomes: &[Outcome]) -> Result<String, Box<dyn Error>> {
    let panels: Vec<Panel<'_>> = outcomes
        .iter()
        .map(|outcome| Panel {
            outcome,
            wake: bins(&outcome.figures.wake, PER_DECADE),
            cycle: bins(&outcome.figures.cycle, PER_DECADE),
        })
        .collect();
    let (x, y) = axes(&panels);
    let mut text = String::new();
    let height = PANEL_HEIGHT.saturating_mul(u32::try_from(panels.len().max(1))?);
    {
        let root = SVGBackend::with_string(&mut text, (WIDTH, height)).into_drawing_area();
        root.fill(&WHITE)?;
        for (area, panel) in root
            .split_evenly((panels.len().max(1), 1))
            .iter()
            .zip(&panels)
        {
            draw(area, panel, x.clone(), y.clone())?;
        }
        root.present()?;
    }
    Ok(text)
}

/// The ranges of the axes, in microseconds and counts, that include every bin and period.
#[allow(clippy::cast_precision_loss)]
fn axes(panels: &[Panel<'_>]) -> (Range<f64>, Range<f64>) {
    let bins = || {
        panels
            .iter()
            .flat_map(|panel| panel.wake.iter().chain(&panel.cycle))
    };
    let low = bins().map(|bin| bin.low_ns).fold(1e5, f64::min);
    let periods = panels
        .iter()
        .map(|panel| 1e9 / panel.outcome.rate_hz as f64);
    let high = bins()
        .map(|bin| bin.high_ns)
        .chain(periods)
        .fold(1e4, f64::max);
    let most = bins().map(|bin| bin.count).max().unwrap_or(0).max(10);
    // Room for the legend at the right.
    (low * 0.9 / 1e3..high * 6.0 / 1e3, FLOOR..most as f64 * 1.5)
}

#[allow(clippy::cast_precision_loss)]
fn draw<'a, DB: DrawingBackend + 'a>(
    area: &DrawingArea<DB, Shift>,
    panel: &Panel<'_>,
    x: Range<f64>,
    y: Range<f64>,
) -> Result<(), DrawingAreaErrorKind<DB::ErrorType>> {
    let outcome = panel.outcome;
    let caption = format!(
        "{}: {} of {} periods missed, {} CRC errors",
        outcome.title(),
        outcome.figures.missed,
        outcome.figures.periods,
        outcome.figures.crc_errors
    );
    let period_us = 1e6 / outcome.rate_hz as f64;
    let mut chart = ChartBuilder::on(area)
        .caption(caption, ("sans-serif", 16))
        .margin(8)
        .x_label_area_size(34)
        .y_label_area_size(58)
        .build_cartesian_2d(x.log_scale(), y.clone().log_scale())?;
    chart
        .configure_mesh()
        .light_line_style(BLACK.mix(0.05))
        .x_desc("microseconds")
        .y_desc("periods")
        .x_label_formatter(&plain)
        .y_label_formatter(&plain)
        .draw()?;
    for (name, bins, colour) in [
        ("wake-up lateness", &panel.wake, WAKE),
        ("cycle time", &panel.cycle, CYCLE),
    ] {
        let bars = bins.iter().filter(|bin| bin.count > 0).map(|bin| {
            let (low, high) = (bin.low_ns / 1e3, bin.high_ns / 1e3);
            Rectangle::new(
                [(low, FLOOR), (high, bin.count as f64)],
                colour.mix(0.55).filled(),
            )
        });
        chart.draw_series(bars)?.label(name).legend(move |(x, y)| {
            Rectangle::new([(x, y - 5), (x + 12, y + 5)], colour.mix(0.55).filled())
        });
    }
    let period = PathElement::new(
        [(period_us, y.start), (period_us, y.end)],
        PERIOD.stroke_width(1),
    );
    chart
        .draw_series(std::iter::once(period))?
        .label("period")
        .legend(move |(x, y)| PathElement::new([(x, y), (x + 12, y)], PERIOD.stroke_width(1)));
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.3))
        .draw()?;
    Ok(())
}

/// Formats a number without an exponent: 0.5, 20, 10000.
fn plain(value: &f64) -> String {
    if *value < 1.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.0}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::outcome;

    #[test]
    fn every_run_has_a_panel() {
        let text = svg(&[outcome("oob"), outcome("in-band")]).unwrap();
        assert!(text.starts_with("<svg") && text.trim_end().ends_with("</svg>"));
        assert!(text.contains("oob 10 kHz: 0 of 10000 periods missed"));
        assert!(text.contains("in-band 10 kHz: 7 of 10000 periods missed"));
        assert!(!text.contains("NaN"));
    }

    #[test]
    fn a_run_without_figures_is_also_drawn() {
        let mut empty = outcome("oob");
        empty.figures = crate::figures::Figures::new();
        assert!(svg(&[empty]).unwrap().contains("oob 10 kHz"));
        assert!(svg(&[]).is_ok());
    }
}
