// SPDX-License-Identifier: MIT OR Apache-2.0

//! One run from set-up to figures. The loop runs in its own real-time thread, the progress bar in
//! the calling one.

use crate::figures::Figures;
use crate::link::{InbandLink, Monotonic, OobLink};
use crate::run;
use crate::schedule::Schedule;
use crate::system;
use inband_load::{Load, Rates};
use indicatif::{ProgressBar, ProgressStyle};
use oobkit::thread::{self as rt, Realtime};
use oobkit::time::Instant;
use std::error::Error;
use std::io::{IsTerminal, stderr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

/// The stage on which the loop runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Out-of-band, by the kit's SPI.
    Oob,
    /// In-band, by mainline's spidev.
    Inband,
}

impl Stage {
    /// The name in tables and charts.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Oob => "oob",
            Self::Inband => "in-band",
        }
    }
}

/// One run to be carried out.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// The stage on which the loop runs.
    pub(crate) stage: Stage,
    /// The kit's device. The in-band device has the same name in `/dev`.
    pub(crate) device: PathBuf,
    /// Periods per second.
    pub(crate) rate_hz: u64,
    /// The duration.
    pub(crate) seconds: u64,
    /// Whether the load runs beside the loop.
    pub(crate) load: bool,
    /// Priority and CPU of the loop.
    pub(crate) realtime: Realtime,
}

impl Plan {
    /// "oob 10 kHz".
    pub(crate) fn title(&self) -> String {
        title(self.stage, self.rate_hz)
    }
}

/// The result of a run.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    /// The stage on which the loop ran.
    pub(crate) stage: Stage,
    /// Periods per second.
    pub(crate) rate_hz: u64,
    /// The loop's figures.
    pub(crate) figures: Figures,
    /// The load's rates, if there was a load.
    pub(crate) load: Option<Rates>,
    /// The cost of the virtual board's model for each period, in ns. `None` on a real board.
    pub(crate) model_ns: Option<u64>,
}

impl Outcome {
    /// "oob 10 kHz".
    pub(crate) fn title(&self) -> String {
        title(self.stage, self.rate_hz)
    }

    /// The mean cycle time without the cost of the virtual board's model, in ns. `None` on a real
    /// board.
    #[allow(clippy::cast_precision_loss)]
    pub(crate) fn net_cycle_ns(&self) -> Option<f64> {
        Some(self.figures.cycle.mean() - self.model_ns? as f64)
    }

    /// Whether no period was missed, every frame was right, and the load, if requested, was real.
    pub(crate) fn is_clean(&self) -> bool {
        self.figures.missed == 0
            && self.figures.crc_errors == 0
            && self.figures.failed == 0
            && self.load_held()
    }

    /// Whether the load, if requested, left nearly no idle time.
    pub(crate) fn load_held(&self) -> bool {
        self.load.as_ref().is_none_or(Rates::is_load)
    }
}

fn title(stage: Stage, rate_hz: u64) -> String {
    format!("{} {}", stage.name(), rate_name(rate_hz))
}

/// "10 kHz", "1500 Hz".
pub(crate) fn rate_name(hz: u64) -> String {
    if hz.is_multiple_of(1_000) {
        format!("{} kHz", hz / 1_000)
    } else {
        format!("{hz} Hz")
    }
}

type AnyError = Box<dyn Error + Send + Sync>;

/// Carries out `plan`.
///
/// # Errors
///
/// Why the loop did not run to its end.
pub(crate) fn carry_out(plan: &Plan) -> Result<Outcome, Box<dyn Error>> {
    // The load starts before this process locks its memory.
    let load = plan.load.then(Load::start).transpose()?;
    let periods = plan.rate_hz.saturating_mul(plan.seconds);
    let progress = AtomicU64::new(0);
    let cost_before = system::model_cost_ns();
    let figures = thread::scope(|scope| {
        let looping = thread::Builder::new()
            .name("loop".into())
            .spawn_scoped(scope, || in_thread(plan, periods, &progress))?;
        if stderr().is_terminal() {
            show_progress(periods, &progress, || looping.is_finished());
        }
        looping.join().map_err(|_| "the loop's thread panicked")?
    })
    .map_err(|e: AnyError| -> Box<dyn Error> { e })?;
    let cost = system::model_cost_ns()
        .zip(cost_before)
        .map(|(after, before)| after.saturating_sub(before));
    Ok(Outcome {
        stage: plan.stage,
        rate_hz: plan.rate_hz,
        model_ns: cost.and_then(|ns| ns.checked_div(figures.periods)),
        figures,
        load: load.map(Load::stop).transpose()?,
    })
}

fn in_thread(plan: &Plan, periods: u64, progress: &AtomicU64) -> Result<Figures, AnyError> {
    let mut figures = Figures::new();
    // This locks all memory mapped so far, including the figures and this thread's stack.
    plan.realtime.apply()?;
    match plan.stage {
        Stage::Oob => {
            let _attached = rt::attach()?;
            let period = Schedule::new(Instant::from_nanos(0), plan.rate_hz).offset(1);
            let mut link = OobLink::open(&plan.device, period)?;
            run::run(
                &Monotonic,
                &mut link,
                plan.rate_hz,
                periods,
                &mut figures,
                progress,
            )?;
        }
        Stage::Inband => {
            let mut link = InbandLink::open(&inband_path(&plan.device)?)?;
            run::run(
                &Monotonic,
                &mut link,
                plan.rate_hz,
                periods,
                &mut figures,
                progress,
            )?;
        }
    }
    Ok(figures)
}

/// Mainline's device for the same bus and chip select.
fn inband_path(device: &Path) -> Result<PathBuf, AnyError> {
    let name = device
        .file_name()
        .ok_or_else(|| format!("{} names no device", device.display()))?;
    Ok(Path::new("/dev").join(name))
}

fn show_progress(periods: u64, progress: &AtomicU64, is_over: impl Fn() -> bool) {
    let bar = ProgressBar::new(periods);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} periods, {eta} left") {
        bar.set_style(style.progress_chars("=> "));
    }
    while !is_over() {
        bar.set_position(progress.load(Ordering::Relaxed));
        thread::sleep(Duration::from_millis(100));
    }
    bar.finish_and_clear();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_devices_name_the_same_chip_select() {
        let path = inband_path(Path::new("/dev/oob/spidev3.0")).unwrap();
        assert_eq!(path, Path::new("/dev/spidev3.0"));
        assert!(inband_path(Path::new("/")).is_err());
    }

    #[test]
    fn rates_are_named_in_khz_or_hz() {
        assert_eq!(rate_name(15_000), "15 kHz");
        assert_eq!(rate_name(1_500), "1500 Hz");
    }
}
