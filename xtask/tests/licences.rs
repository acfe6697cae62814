// SPDX-License-Identifier: GPL-2.0-only
//! Each file of the tree tells its licence in one of its first lines.

mod ability;

use std::fs;
use std::path::Path;
use std::process::Command;

use ability::cannot;

/// Licences themselves, and what a tool writes.
const EXEMPT: [&str; 3] = ["LICENSE", "LICENSES/", "Cargo.lock"];

#[test]
fn each_file_tells_its_licence() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let listed = Command::new("git")
        // Whoever owns the tree: CI may have cloned it as somebody else.
        .args(["-c", "safe.directory=*", "ls-files", "-z"])
        .current_dir(&top)
        .output();
    let Some(listed) = listed.ok().filter(|listed| listed.status.success()) else {
        return cannot("there is no git, or the tree was copied without its history");
    };
    let listed = String::from_utf8(listed.stdout).unwrap();
    let without: Vec<_> = listed
        .split_terminator('\0')
        .filter(|name| !EXEMPT.iter().any(|exempt| name.starts_with(exempt)))
        // One that is removed, but not yet for git.
        .filter_map(|name| Some((name, fs::read_to_string(top.join(name)).ok()?)))
        .filter(|(_, text)| {
            let mut head = text.lines().take(3);
            !head.any(|line| line.contains("SPDX-License-Identifier: "))
        })
        .map(|(name, _)| name)
        .collect();
    assert!(without.is_empty(), "no SPDX line: {without:?}");
}
