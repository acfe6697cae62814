// SPDX-License-Identifier: GPL-2.0-only
//! Follows a guest from its first output to the verdict.
//!
//! ```text
//!   running --end on both lines--> done        --panic, then a moment for its text--> reported
//!           --emulator gone------> gone        --signal--> interrupted
//!           --time over, then a moment for what its processors are at--> hung
//! ```

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use anyhow::Result;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::log::Log;
use super::qemu::Qemu;
use super::stream::Stream;

/// How long a guest may take until the command begins, on a busy host.
const BOOT: Duration = Duration::from_secs(900);
/// The note that `/init` prints when the command begins. The timeout begins with it.
const BEGIN: &str = "oobkit: the command begins";
/// How often the console's file is read.
const TICK: Duration = Duration::from_millis(50);
/// How long the console may lag behind the data line, and a guest's answer behind the question.
const GRACE: Duration = Duration::from_secs(5);
/// How long a panic's text may take. A slow guest has many locks to show. Most guests end by
/// themselves after it.
const TEXT: Duration = Duration::from_secs(30);
/// How much of the kernel's log is shown.
const LOG_LINES: usize = 60;

/// The verdict on a run.
pub(crate) enum Verdict {
    /// The command ended with this status, and the guest was well.
    Exited(i32),
    /// The kernel reported something about itself.
    Reported(String),
    /// The timeout passed.
    Hung(Duration),
    /// The emulator ended before the command did.
    Gone,
    /// This program was told to stop.
    Interrupted,
}

/// The verdict on a run, with its logs.
pub(crate) struct Outcome {
    pub(crate) verdict: Verdict,
    /// The command's own status, if it ended.
    pub(crate) status: Option<i32>,
    /// The end of the kernel's log.
    pub(crate) log: String,
    /// What the guest left in /out.
    pub(super) archive: Option<Vec<u8>>,
}

impl Outcome {
    /// The status to exit with. For failed guests it is one that timeout(1) and shells use for
    /// failures that are not the command's.
    pub(crate) fn exit_status(&self) -> i32 {
        match self.verdict {
            Verdict::Exited(status) => status,
            Verdict::Hung(_) => 124,
            Verdict::Reported(_) => 125,
            Verdict::Gone => 126,
            Verdict::Interrupted => 130,
        }
    }

    /// What went wrong with the guest. `None` if only the command's status counts.
    pub(crate) fn trouble(&self) -> Option<String> {
        let end = match self.status {
            Some(status) => format!("; the command had ended with status {status}"),
            None => String::new(),
        };
        match &self.verdict {
            Verdict::Exited(_) => None,
            Verdict::Hung(limit) => Some(format!("the guest hung: no end after {limit:?}{end}")),
            Verdict::Reported(line) => Some(format!("the kernel reported: {}{end}", line.trim())),
            Verdict::Gone => Some(format!("the emulator ended before the command{end}")),
            Verdict::Interrupted => Some("interrupted".to_owned()),
        }
    }
}

/// Follows a guest to its end.
pub(crate) fn watch(
    mut guest: Qemu,
    console: &Path,
    monitor: &mut File,
    nonce: &str,
    timeout: Duration,
    output: &mut dyn Write,
) -> Result<Outcome> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    let mut console = File::open(console)?;
    let mut log = Log::default();
    let mut stream = Stream::new(nonce);
    let end = format!("oobkit: end {nonce}");
    let (mut start, mut limit, mut has_begun) = (Instant::now(), BOOT, false);
    let mut last_word: Option<Instant> = None;
    // What the guest had reported when the timeout passed.
    let mut hung: Option<Option<String>> = None;

    let ended = loop {
        match guest.data.recv_timeout(TICK) {
            Ok(bytes) => pass(&mut stream, &bytes, output)?,
            Err(RecvTimeoutError::Timeout) => {}
            // The emulator is ending, or has closed its output. Sleeping here avoids a busy loop.
            Err(RecvTimeoutError::Disconnected) => std::thread::sleep(TICK),
        }
        let gone = guest.ended().is_some();
        let mut added = Vec::new();
        console.read_to_end(&mut added)?;
        log.feed(&added);
        if stop.load(Ordering::Relaxed) {
            break Some(Verdict::Interrupted);
        }
        if gone {
            break (!stream.ended).then_some(Verdict::Gone);
        }
        if stream.ended && log.has(&end) {
            break None;
        }
        if last_word.is_none() && (stream.ended || log.panicked()) {
            last_word = Some(Instant::now());
        }
        if !has_begun && log.has(BEGIN) {
            (start, limit, has_begun) = (Instant::now(), timeout, true);
        }
        if last_word.is_none() && start.elapsed() > limit {
            hung = Some(log.report().map(str::to_owned));
            ask(monitor);
            last_word = Some(Instant::now());
        }
        let grace = if log.panicked() { TEXT } else { GRACE };
        if last_word.is_some_and(|since| since.elapsed() > grace) {
            break (!stream.ended).then_some(Verdict::Gone);
        }
    };
    while let Ok(bytes) = guest.data.try_recv() {
        pass(&mut stream, &bytes, output)?;
    }
    drop(guest);

    let is_hung = hung.is_some();
    // Later reports are answers to the NMI.
    let report = hung.unwrap_or_else(|| log.report().map(str::to_owned));
    let verdict = match (ended, report, stream.status) {
        (Some(Verdict::Interrupted), _, _) => Verdict::Interrupted,
        (_, None, _) if is_hung => Verdict::Hung(limit),
        (_, Some(report), _) => Verdict::Reported(report),
        (Some(verdict), None, _) => verdict,
        (None, None, Some(status)) => Verdict::Exited(status),
        (None, None, None) => Verdict::Gone,
    };
    let archive = if stream.ended {
        stream.archive()?
    } else {
        None
    };
    Ok(Outcome {
        verdict,
        status: stream.status,
        log: log.end(LOG_LINES),
        archive,
    })
}

/// Sends the guest an NMI. A kernel that panics on it (as its command line says) prints what its
/// processors run; a guest that has stopped without a word says this in no other way. Arm machines
/// have no NMI and give no answer.
fn ask(monitor: &mut File) {
    // An emulator that hangs does not answer, and the run goes on without the answer.
    let _ = monitor.write_all(b"nmi\n");
}

fn pass(stream: &mut Stream, bytes: &[u8], output: &mut dyn Write) -> Result<()> {
    let text = stream.feed(bytes);
    output.write_all(&text)?;
    Ok(output.flush()?)
}
