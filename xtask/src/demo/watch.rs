// SPDX-License-Identifier: GPL-2.0-only
//! The progress of a guest of the demo, read from its output.
//!
//! ```text
//!   nothing yet                                   boots
//!   "1234/30000 periods", drawn over and over     the progress of the run
//!   "..: cycle time, us"                          one run is over: first out-of-band, then in-band
//! ```

use std::io::{self, Write};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// The guest's loop prints this once after each run.
const RUN_IS_OVER: &str = ": cycle time, us";
/// This follows `done/all` in the guest's own progress bar.
const PERIODS: &str = " periods";

/// A guest's output as it comes, and its progress bar here.
pub(super) struct Watch {
    bar: ProgressBar,
    /// The periods of one run.
    periods: u64,
    output: Vec<u8>,
}

impl Watch {
    /// For a guest with two runs of this many periods.
    pub(super) fn new(bars: &MultiProgress, rate: u32, periods: u64) -> Self {
        let bar = bars.add(ProgressBar::new(2 * periods));
        if let Ok(style) =
            ProgressStyle::with_template("{prefix:>6} {bar:40} {percent:>3} %  {elapsed}  {msg}")
        {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_prefix(format!("{rate} kHz"));
        bar.set_message("boots");
        bar.enable_steady_tick(Duration::from_secs(1));
        Self {
            bar,
            periods,
            output: Vec::new(),
        }
    }

    /// The output without the text that was drawn over.
    pub(super) fn text(&self) -> String {
        plain(&String::from_utf8_lossy(&self.output))
    }
}

impl Write for Watch {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.output.extend(bytes);
        let (runs, periods) = place(&String::from_utf8_lossy(&self.output));
        let done = runs.saturating_mul(self.periods).saturating_add(periods);
        self.bar.set_position(done);
        self.bar.set_message(match runs {
            0 => "out-of-band",
            1 => "in-band",
            _ => "done",
        });
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.bar.finish();
    }
}

/// The number of finished runs, and the periods done in the current one.
fn place(output: &str) -> (u64, u64) {
    let runs = u64::try_from(output.matches(RUN_IS_OVER).count()).unwrap_or(0);
    let last = output.rsplit(RUN_IS_OVER).next().unwrap_or_default();
    let periods = last.rsplit_once(PERIODS).and_then(|(before, _)| {
        let (_, word) = before.rsplit_once(' ')?;
        word.split_once('/')?.0.parse().ok()
    });
    (runs, periods.unwrap_or(0))
}

/// Each line as the terminal showed it last, without control codes.
fn plain(output: &str) -> String {
    let mut text = String::new();
    for line in output.lines() {
        let mut chars = line.trim_end_matches('\r').chars();
        let mut shown = String::new();
        while let Some(c) = chars.next() {
            match c {
                '\r' => shown.clear(),
                // ESC [ numbers letter
                '\u{1b}' => {
                    let _ = chars.by_ref().find(char::is_ascii_alphabetic);
                }
                c => shown.push(c),
            }
        }
        text.push_str(&shown);
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRAWN: &str = "\r\u{1b}[2K====>    7000/30000 periods, 2s left\r\u{1b}[2K=====>   8000/30000 periods, 2s left";

    #[test]
    fn the_place_is_read_from_what_was_drawn_last() {
        assert_eq!(place(""), (0, 0));
        assert_eq!(place(DRAWN), (0, 8000));
        let second = format!("{DRAWN}\r\noob 10 kHz: cycle time, us (bars)\r\n  1 .. 2\r\n");
        assert_eq!(place(&second), (1, 0));
        assert_eq!(place(&format!("{second}{DRAWN}")), (1, 8000));
    }

    #[test]
    fn what_was_drawn_over_is_not_shown_again() {
        assert_eq!(
            plain("\u{1b}[2K==> 1/2 periods\r\u{1b}[2Koob: no device\r\nend"),
            "oob: no device\nend\n"
        );
    }
}
