// SPDX-License-Identifier: MIT OR Apache-2.0

//! What the running machine says about itself.

use std::fs;
use std::path::{Path, PathBuf};

/// Where the virtual board publishes what its model has cost so far, in ns.
const MODEL_COST: &str = "/sys/kernel/debug/vboard/cost_ns";

/// What the virtual board's model has cost so far, in ns; `None` on a real board.
pub(crate) fn model_cost_ns() -> Option<u64> {
    fs::read_to_string(MODEL_COST).ok()?.trim().parse().ok()
}

/// The kernel's release.
pub(crate) fn kernel() -> String {
    fs::read_to_string("/proc/sys/kernel/osrelease")
        .map_or_else(|_| "unknown".into(), |text| text.trim().into())
}

/// The machine: a device-tree board's model, else the architecture.
pub(crate) fn machine() -> String {
    fs::read_to_string("/proc/device-tree/model").map_or_else(
        |_| std::env::consts::ARCH.into(),
        |text| text.trim_end_matches('\0').into(),
    )
}

/// Time that the processors have been idle, and time in all, in ticks.
pub(crate) fn idle_and_total() -> Option<(u64, u64)> {
    parse_stat(&fs::read_to_string("/proc/stat").ok()?)
}

/// The first line of /proc/stat: user nice system idle iowait irq softirq steal guest guest_nice (proc(5)). The two
/// guest times are part of user and nice.
fn parse_stat(text: &str) -> Option<(u64, u64)> {
    let line = text.lines().next()?.strip_prefix("cpu ")?;
    let times: Vec<u64> = line
        .split_whitespace()
        .take(8)
        .map_while(|word| word.parse().ok())
        .collect();
    let idle = times.get(3)?.saturating_add(*times.get(4)?);
    Some((idle, times.iter().sum()))
}

/// The first device in `folder` that is chip select 0, by name.
pub(crate) fn find_device(folder: &Path) -> Option<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(folder)
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            path.file_name()
                .and_then(|name| name.to_str())
                .is_some_and(|name| name.starts_with("spidev") && name.ends_with(".0"))
        })
        .collect();
    found.sort();
    found.into_iter().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guest_time_is_not_counted_twice() {
        let text = "cpu  10 20 30 40 5 6 7 8 9 1\ncpu0 1 2 3\n";
        assert_eq!(parse_stat(text), Some((45, 126)));
        assert_eq!(parse_stat("intr 5"), None);
        assert_eq!(parse_stat("cpu  1 2 3"), None);
    }

    #[test]
    fn this_machine_says_something() {
        assert!(idle_and_total().is_some_and(|(idle, total)| idle <= total && total > 0));
        assert_ne!(kernel(), "unknown");
    }

    #[test]
    fn the_device_is_found_by_name() {
        let folder = std::env::temp_dir().join(format!("closed-loop-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        for name in ["spidev10.1", "spidev10.0", "ctl"] {
            fs::write(folder.join(name), "").unwrap();
        }
        let found = find_device(&folder);
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(found, Some(folder.join("spidev10.0")));
        assert_eq!(find_device(&folder), None);
    }
}
