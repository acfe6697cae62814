// SPDX-License-Identifier: MIT OR Apache-2.0

//! Information about the running machine.

use std::fs;
use std::path::{Path, PathBuf};

/// The file with the cost of the virtual board's model so far, in ns.
const MODEL_COST: &str = "/sys/kernel/debug/vboard/cost_ns";

/// The cost of the virtual board's model so far, in ns. `None` on a real board.
pub(crate) fn model_cost_ns() -> Option<u64> {
    fs::read_to_string(MODEL_COST).ok()?.trim().parse().ok()
}

/// The kernel's release.
pub(crate) fn kernel() -> String {
    fs::read_to_string("/proc/sys/kernel/osrelease")
        .map_or_else(|_| "unknown".into(), |text| text.trim().into())
}

/// The machine: the model in its device tree, or the architecture if it has none.
pub(crate) fn machine() -> String {
    fs::read_to_string("/proc/device-tree/model").map_or_else(
        |_| std::env::consts::ARCH.into(),
        |text| text.trim_end_matches('\0').into(),
    )
}

/// The first device in `folder`, by name, that is a chip select 0.
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
    fn this_machine_has_a_kernel_release() {
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
