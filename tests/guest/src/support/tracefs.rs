// SPDX-License-Identifier: GPL-2.0-only

//! What the kernel did on behalf of one thread: allocations, page faults and context switches, each
//! with its stack.
//!
//! ```text
//!   set_event_pid, events -> tracing_on -> marker  the thread's loop  marker -> trace -> Events
//! ```
//!
//! Events of soft interrupts are left out, since the kit has none. Events of hard interrupts count.

use super::board::mount;
use super::cpus::OneProcessor;
use anyhow::{Context, Result, ensure};
use rustix::thread::gettid;
use std::fs;
use std::path::Path;

const ROOT: &str = "/sys/kernel/tracing";
const BEGIN: &str = "guest-tests begins";
const END: &str = "guest-tests ends";
/// A kprobe for architectures without trace events for page faults.
const FAULT_PROBE: &str = "p:vmtests/fault handle_mm_fault";

/// One event of the trace.
#[derive(Debug)]
pub(crate) struct Event {
    name: String,
    /// Everything after the name.
    text: String,
    stack: Vec<String>,
}

/// The events between the two markers.
#[derive(Debug, Default)]
pub(crate) struct Events {
    pub(crate) allocations: Vec<Event>,
    pub(crate) faults: Vec<Event>,
    /// Context switches away from the thread, except preemptions by a thread of higher priority.
    pub(crate) sleeps: Vec<Event>,
    /// Timers that expired while the thread ran, if [`Tracing::with_timers`] was called.
    pub(crate) timers: Vec<Event>,
}

impl Event {
    /// Whether a function of this module is on the stack.
    pub(crate) fn is_from(&self, module: &str) -> bool {
        let mark = format!("[{module}]");
        self.stack.iter().any(|line| line.contains(&mark))
    }

    /// Whether the event's text names a function of this module.
    pub(crate) fn is_about(&self, module: &str) -> bool {
        self.text.contains(&format!("[{module}]"))
    }

    /// Whether a function of this name is on the stack.
    pub(crate) fn is_through(&self, function: &str) -> bool {
        let mark = format!("{function}+");
        self.stack.iter().any(|line| line.starts_with(&mark))
    }

    /// Whether the event is a sleep in the flag's wait: `oob_spi.ko`'s wait for a flag called the
    /// scheduler directly.
    pub(crate) fn is_flags_wait(&self) -> bool {
        let calls = self.stack.windows(2);
        calls
            .filter_map(|pair| <&[String; 2]>::try_from(pair).ok())
            .any(|[sleep, caller]| {
                sleep.starts_with("schedule+")
                    && caller.contains("TaskFlag")
                    && caller.contains("wait_until")
                    && caller.contains("[oob_spi]")
            })
    }

    /// The event in one line.
    pub(crate) fn story(&self) -> String {
        format!("{} {} < {}", self.name, self.text, self.stack.join(" < "))
    }
}

fn set(file: &str, value: &str) -> Result<()> {
    let path = format!("{ROOT}/{file}");
    fs::write(&path, value).with_context(|| format!("cannot write {value:?} to {path}"))
}

/// Tracing of the calling thread, until this value is dropped.
pub(crate) struct Tracing {
    /// `group/name` of each enabled event.
    events: Vec<&'static str>,
    marker: fs::File,
    /// Dropped last, because disabling events patches code.
    _alone: OneProcessor,
}

const ALLOCATIONS: [&str; 3] = [
    "kmem/kmalloc",
    "kmem/kmem_cache_alloc",
    "kmem/mm_page_alloc",
];
const FAULTS: [&str; 2] = ["exceptions/page_fault_user", "exceptions/page_fault_kernel"];
const PROBE: &str = "vmtests/fault";
const SWITCH: &str = "sched/sched_switch";
const TIMER: &str = "timer/hrtimer_expire_entry";

impl Tracing {
    /// Prepares tracing of the calling thread.
    pub(crate) fn new() -> Result<Self> {
        if !Path::new(ROOT).join("trace").exists() {
            mount("tracefs", ROOT).context("no tracefs")?;
        }
        let alone = OneProcessor::new()?;
        set("tracing_on", "0")?;
        set("current_tracer", "nop")?;
        set("buffer_size_kb", "8192")?;
        set("options/stacktrace", "1")?;
        set("options/sym-offset", "1")?;
        set("set_event_pid", &gettid().as_raw_nonzero().to_string())?;
        let mut events = ALLOCATIONS.to_vec();
        events.push(SWITCH);
        if Path::new(ROOT).join("events").join(FAULTS[0]).exists() {
            events.extend(FAULTS);
        } else {
            set("kprobe_events", FAULT_PROBE).context("no way to see page faults")?;
            events.push(PROBE);
        }
        let marker = fs::File::options()
            .write(true)
            .open(format!("{ROOT}/trace_marker"))?;
        let tracing = Self {
            events,
            marker,
            _alone: alone,
        };
        for event in &tracing.events {
            set(&format!("events/{event}/enable"), "1")?;
        }
        Ok(tracing)
    }

    /// Also traces expirations of timers.
    pub(crate) fn with_timers(mut self) -> Result<Self> {
        set(&format!("events/{TIMER}/enable"), "1")?;
        self.events.push(TIMER);
        Ok(self)
    }

    fn mark(&self, text: &str) -> Result<()> {
        use std::io::Write;
        Ok((&self.marker).write_all(text.as_bytes())?)
    }

    /// Runs `f`. Returns its result and the events meanwhile.
    pub(crate) fn of<T>(&self, f: impl FnOnce() -> Result<T>) -> Result<(T, Events)> {
        set("trace", "")?;
        set("tracing_on", "1")?;
        self.mark(BEGIN)?;
        let result = f();
        self.mark(END)?;
        set("tracing_on", "0")?;
        let trace = fs::read_to_string(format!("{ROOT}/trace"))?;
        let events = parse(&trace, gettid().as_raw_nonzero().get())?;
        Ok((result?, events))
    }
}

impl Drop for Tracing {
    fn drop(&mut self) {
        // An event that stays enabled disturbs only the next trace, which sets everything anew.
        let _ = set("tracing_on", "0");
        for event in &self.events {
            let _ = set(&format!("events/{event}/enable"), "0");
        }
        let _ = set("kprobe_events", "");
        let _ = set("set_event_pid", "");
        let _ = set("options/stacktrace", "0");
        let _ = set("options/sym-offset", "0");
        let _ = set("trace", "");
    }
}

/// Reads `<comm>-<tid> [cpu] <flags> <time>: <event>: <text>`, and the ` => <function>` lines after
/// each.
fn parse(trace: &str, tid: i32) -> Result<Events> {
    let mut events = Events::default();
    let mut inside = None;
    let mut last: Option<Event> = None;
    let own = format!("-{tid}");
    for line in trace.lines().filter(|line| !line.starts_with('#')) {
        if let Some(function) = line.trim_start().strip_prefix("=> ") {
            if let Some(event) = &mut last {
                event.stack.push(function.trim().to_owned());
            }
            continue;
        }
        let Some((head, what)) = line.split_once(": ") else {
            continue;
        };
        let mut words = head.split_whitespace();
        let is_own = words.next().is_some_and(|word| word.ends_with(&own));
        let flags = words.nth(1).unwrap_or_default();
        if what.contains("<stack trace>") {
            continue;
        }
        if let Some(event) = last.take() {
            events.take(event, tid);
        }
        if what.contains(BEGIN) {
            inside = Some(true);
        } else if what.contains(END) {
            inside = Some(false);
        } else if inside == Some(true) && is_own && flags.chars().nth(2) != Some('s') {
            let (name, text) = what.split_once(": ").unwrap_or((what, ""));
            last = Some(Event {
                name: name.to_owned(),
                text: text.to_owned(),
                stack: Vec::new(),
            });
        }
    }
    ensure!(inside == Some(false), "the trace has lost its markers");
    Ok(events)
}

impl Events {
    fn take(&mut self, event: Event, tid: i32) {
        let is = |known: &[&str]| known.iter().any(|path| path.ends_with(&event.name));
        if event.name == "sched_switch" {
            let field = |name: &str| {
                let mut words = event.text.split_whitespace();
                words.find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
            };
            // In the kernel, a lower number is a higher priority. Without both numbers the event
            // counts as a sleep.
            let prio = |name| field(name).and_then(|prio| prio.parse::<i32>().ok());
            let higher = prio("next_prio").zip(prio("prev_prio"));
            let preempted = matches!(field("prev_state"), Some("R" | "R+"))
                && higher.is_some_and(|(next, prev)| next < prev);
            if field("prev_pid") == Some(&tid.to_string()) && !preempted {
                self.sleeps.push(event);
            }
        } else if is(&ALLOCATIONS) {
            self.allocations.push(event);
        } else if is(&[TIMER]) {
            self.timers.push(event);
        } else if is(&FAULTS) || event.name == "fault" {
            self.faults.push(event);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_switch_to_a_higher_priority_alone_is_no_sleep() {
        let sleeps = |state: &str, next: u32| {
            let trace = format!(
                "  guest-tests-7  [001] d..1.  1.000000: tracing_mark_write: {BEGIN}\n  \
                 guest-tests-7  [001] d..2.  1.000001: sched_switch: prev_comm=guest-tests prev_pid=7 prev_prio=19 \
                 prev_state={state} ==> next_comm=a b next_pid=9 next_prio={next}\n \
                 => schedule+0x1/0x2\n  \
                 guest-tests-7  [001] d..1.  1.000002: tracing_mark_write: {END}\n"
            );
            parse(&trace, 7).unwrap().sleeps.len()
        };
        assert_eq!(sleeps("R", 18), 0);
        assert_eq!(sleeps("R+", 0), 0);
        assert_eq!(sleeps("R", 19), 1);
        assert_eq!(sleeps("R+", 120), 1);
        assert_eq!(sleeps("S", 0), 1);
        assert_eq!(sleeps("D", 120), 1);
    }
}
