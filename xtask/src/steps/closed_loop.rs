// SPDX-License-Identifier: GPL-2.0-only
//! A short version of the demo's control loop: one second on each stage in one guest. Checks its
//! figures.
//!
//! ```text
//!   guest, instructions counted: closed-loop            --> /out/oob.json     no period missed, no wrong frame
//!                                closed-loop --inband   --> /out/inband.json  a frame in each period that was not skipped
//! ```
//!
//! The step does not judge how well mainline keeps its dates. The demo shows that.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::count::Count;
use super::modules;
use super::step::{Log, Mode, Step};
use crate::machines::Name;
use crate::vm::Job;

const SCRIPT: &str = "closed-loop --rate 10000 --seconds 1 --json /out/oob.json && \
                      closed-loop --rate 10000 --seconds 1 --inband --json /out/inband.json";
const PERIODS: u64 = 10_000;
const TIMEOUT: Duration = Duration::from_secs(600);

/// The column of each stage in the figures, and the fields that must be 0 there.
const OOB: (&str, &[&str]) = ("/0/kit", &["missed", "crc_errors", "failed"]);
const INBAND: (&str, &[&str]) = ("/0/peers/spidev", &["crc_errors", "failed"]);

pub(super) fn step() -> Step {
    Step::new(
        "closed loop",
        "10 kHz for a second out-of-band, then in-band",
        closed_loop,
    )
    .after(modules::name("6.12-rt-amd64"))
}

/// One test for each stage.
fn closed_loop(_: &Mode, log: &mut Log) -> Result<Count> {
    let command = ["sh", "-c", SCRIPT].map(str::to_owned).to_vec();
    let mut job = Job::counted(Name::X86_64, None, command, "closed-loop")?;
    job.timeout = TIMEOUT;
    let outcome = job.run(&mut Vec::new())?;
    if let Some(trouble) = outcome.trouble() {
        log.line(format_args!("{}\n{trouble}", outcome.log));
        return Ok(Count::FAIL);
    }
    let status = outcome.exit_status();
    ensure!(status == 0, "closed-loop ended with status {status}");
    let mut count = Count::default();
    for (file, (column, zero)) in [("oob.json", OOB), ("inband.json", INBAND)] {
        let path = job.results.join("out").join(file);
        let text = fs::read_to_string(&path).with_context(|| format!("no {}", path.display()))?;
        let held = hold(&serde_json::from_str(&text)?, column, zero);
        if let Err(error) = &held {
            log.line(format_args!("{file}: {error:#}"));
        }
        count.add(Count::of(held.is_ok()));
    }
    Ok(count)
}

/// Whether all periods passed, each with its frame unless it was skipped, and the fields that must
/// be 0 are 0.
fn hold(records: &Value, column: &str, zero: &[&str]) -> Result<()> {
    let number = |field: &str| {
        let value = records.pointer(&format!("{column}/{field}"));
        let value = value.and_then(Value::as_u64);
        value.with_context(|| format!("no {column}/{field}"))
    };
    let (periods, frames, skipped) = (number("periods")?, number("n")?, number("skipped")?);
    ensure!(periods == PERIODS, "{periods} periods");
    ensure!(frames > 0, "no frame");
    ensure!(
        frames + skipped == periods,
        "{frames} frames, {skipped} skipped"
    );
    for field in zero {
        let count = number(field)?;
        ensure!(count == 0, "{field}: {count}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// A good run's column with one field changed.
    fn held(way: (&str, &[&str]), field: &str, value: u64) -> bool {
        let mut side = json!({"n": 10000, "periods": 10000, "missed": 0, "skipped": 0, "crc_errors": 0, "failed": 0});
        side[field] = value.into();
        let records = match way {
            OOB => json!([{"kit": side, "peers": {}}]),
            _ => json!([{"peers": {"spidev": side}}]),
        };
        hold(&records, way.0, way.1).is_ok()
    }

    #[test]
    fn each_fault_is_seen() {
        for way in [OOB, INBAND] {
            assert!(held(way, "periods", PERIODS));
            for (field, value) in [
                ("periods", 9_999),
                ("n", 0),
                ("n", 9_999),
                ("skipped", 1),
                ("crc_errors", 1),
                ("failed", 1),
            ] {
                assert!(!held(way, field, value), "{field} {value}");
            }
        }
        assert!(!held(OOB, "missed", 1));
        assert!(held(INBAND, "missed", 1));
        assert!(hold(&json!([]), OOB.0, OOB.1).is_err());
    }
}
