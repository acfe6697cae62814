// SPDX-License-Identifier: GPL-2.0-only
//! Finds in the guest's kernel log whether the guest is well.
//!
//! Any report that a kernel makes about itself fails a run, because the kit must cause none.

/// Texts that such a report begins with, anywhere in a line.
const REPORTS: &[&str] = &[
    "WARNING: ",
    "BUG: ",
    "kernel BUG at ",
    "Oops: ",
    "Internal error: ",
    "Unable to handle kernel ",
    "general protection fault",
    "UBSAN: ",
    "KCSAN: ",
    "DMA-API: Out of memory",
    "rcu: INFO: ",
    "INFO: task ",
    "INFO: trying to register non-static key",
    "INFO: lockdep is turned off",
    "self-detected stall",
    "hard LOCKUP",
    ": nobody cared",
    "cannot create duplicate filename",
    "tried to init an initialized object",
    "new suspected memory leaks",
    "Kernel memory leak detector disabled",
    "oobkit: FAULT: ",
    PANIC,
];

/// Whether the line is the allocator's report of a corrupt object: `BUG <cache> (<taint>): <what>`.
fn is_slab_report(line: &str) -> bool {
    let taints = [" (Not tainted): ", " (Tainted: "];
    line.split_once("BUG ")
        .is_some_and(|(_, rest)| taints.iter().any(|taint| rest.contains(taint)))
}

fn is_report(line: &str) -> bool {
    REPORTS.iter().any(|report| line.contains(report)) || is_slab_report(line)
}

/// How many lines before and after the first line of a report are shown: its cause and its trace.
const BEFORE: usize = 8;
const AFTER: usize = 40;

const PANIC: &str = "Kernel panic - not syncing";

/// A kernel log that grows.
#[derive(Default)]
pub(crate) struct Log {
    lines: Vec<String>,
    partial: Vec<u8>,
    report: Option<String>,
    /// Its index in `lines`.
    reported_at: usize,
    panicked: bool,
}

impl Log {
    /// Adds new text of the log.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        for byte in bytes {
            match byte {
                b'\n' => {
                    let line = std::mem::take(&mut self.partial);
                    self.line(
                        String::from_utf8_lossy(&line)
                            .trim_end_matches('\r')
                            .to_owned(),
                    );
                }
                byte => self.partial.push(*byte),
            }
        }
    }

    fn line(&mut self, line: String) {
        if self.report.is_none() && is_report(&line) {
            self.report = Some(line.clone());
            self.reported_at = self.lines.len();
        }
        self.panicked |= line.contains(PANIC);
        self.lines.push(line);
    }

    /// The first report's first line.
    pub(crate) fn report(&self) -> Option<&str> {
        self.report.as_deref()
    }

    /// Whether only the rest of a panic's text can follow.
    pub(crate) fn panicked(&self) -> bool {
        self.panicked
    }

    /// Whether some line contains this text.
    pub(crate) fn has(&self, text: &str) -> bool {
        self.lines.iter().any(|line| line.contains(text))
    }

    /// The last lines. The lines around the first report come before them if they are not among
    /// them.
    pub(crate) fn end(&self, count: usize) -> String {
        let from = self.lines.len().saturating_sub(count);
        let begin = self.reported_at.saturating_sub(BEFORE);
        let round = begin..self.reported_at.saturating_add(AFTER).min(from);
        let mut end = String::new();
        if let (Some(_), Some(lines @ [_, ..])) = (&self.report, self.lines.get(round)) {
            end = lines.join("\n") + "\n[...]\n";
        }
        end + &self.lines.get(from..).unwrap_or_default().join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_far_from_the_end_is_shown_with_what_led_to_it() {
        let mut log = Log::default();
        for n in 0..100 {
            log.feed(format!("line {n}\n").as_bytes());
        }
        assert_eq!(log.end(2), "line 98\nline 99");
        log.feed(b"WARNING: here\n");
        for n in 101..300 {
            log.feed(format!("line {n}\n").as_bytes());
        }
        let end = log.end(2);
        assert!(end.starts_with("line 92\n"), "{end}");
        assert!(end.contains("WARNING: here\nline 101"), "{end}");
        assert!(end.ends_with("[...]\nline 298\nline 299"), "{end}");
        assert_eq!(log.end(1000).lines().count(), 300);
    }

    fn report(text: &str) -> Option<String> {
        let mut log = Log::default();
        log.feed(text.as_bytes());
        log.report().map(str::to_owned)
    }

    #[test]
    fn reports_are_seen() {
        for line in [
            "[    1.000000] WARNING: CPU: 0 PID: 7 at kernel/x.c:3 f+0x1/0x2",
            "[    1.000000] WARNING: possible circular locking dependency detected",
            "[    1.000000] BUG: KASAN: slab-use-after-free in f+0x1/0x2",
            "[    1.000000] BUG: sleeping function called from invalid context at x.c:1",
            "[    1.000000] watchdog: BUG: soft lockup - CPU#0 stuck for 26s!",
            "[    1.000000] Oops: invalid opcode: 0000 [#1] PREEMPT_RT SMP",
            "[    1.000000] Internal error: Oops: 0000000096000004 [#1] SMP",
            "[    1.000000] rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:",
            "[    1.000000] kmemleak: 1 new suspected memory leaks (see /sys/kernel/debug/kmemleak)",
            "[    1.000000] kmemleak: Kernel memory leak detector disabled",
            "[    1.000000] BUG kmalloc-64 (Not tainted): Poison overwritten",
            "[    1.000000] BUG task_struct (Tainted: G           O      ): Objects remaining on __kmem_cache_shutdown()",
            "[    1.000000] [ BUG: Invalid wait context ]",
            "[    1.000000] irq 16: nobody cared (try booting with the \"irqpoll\" option)",
            "[    1.000000] CPU1: Watchdog detected hard LOCKUP on cpu 1",
            "[    1.000000] sysfs: cannot create duplicate filename '/devices/virtual/misc/spidev0.0'",
            "[    1.000000] kobject: kobject (00000000ba0b1234): tried to init an initialized object, something is seriously wrong.",
            "[    1.000000] Kernel panic - not syncing: Fatal exception",
        ] {
            assert!(report(&format!("{line}\r\n")).is_some(), "{line}");
        }
    }

    #[test]
    fn ordinary_lines_are_not() {
        for line in [
            "[    0.000000] DMA-API: preallocated 65536 debug entries",
            "[    0.000000] DMA-API: debugging enabled by kernel config",
            "[    0.000000] Lock dependency validator: Copyright (c) 2006 Red Hat, Inc.",
            "[    0.000000] kmemleak: Kernel memory leak detector initialized (mem pool available: 15787)",
            "[    0.000000] kmemleak: Automatic memory scanning thread started",
            "[    0.000000] CPU: 0 UID: 0 PID: 7 Comm: sh Not tainted 6.12.1-debug",
            "[    0.000000] rcu: Preemptible hierarchical RCU implementation.",
        ] {
            assert_eq!(report(&format!("{line}\n")), None);
        }
    }

    #[test]
    fn a_line_may_come_in_pieces() {
        let mut log = Log::default();
        log.feed(b"[ 1.0] BU");
        assert_eq!(log.report(), None);
        log.feed(b"G: x\nmore");
        assert_eq!(log.report(), Some("[ 1.0] BUG: x"));
        assert_eq!(log.end(60), "[ 1.0] BUG: x");
    }
}
