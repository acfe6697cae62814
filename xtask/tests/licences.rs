// SPDX-License-Identifier: GPL-2.0-only
//! Each file names its licence in one of its first lines.

use std::fs;
use std::path::Path;
use std::process::Command;

/// The licences themselves, and files that tools write.
const EXEMPT: [&str; 3] = ["LICENSE", "LICENSES/", "Cargo.lock"];

/// The files that git knows. Without git or history, every file except built ones.
fn files(top: &Path) -> Vec<String> {
    let listed = Command::new("git")
        // CI may have cloned the tree as another user.
        .args(["-c", "safe.directory=*", "ls-files", "-z"])
        .current_dir(top)
        .output();
    if let Some(listed) = listed.ok().filter(|listed| listed.status.success()) {
        let text = String::from_utf8(listed.stdout).unwrap();
        return text.split_terminator('\0').map(str::to_owned).collect();
    }
    let mut found = Vec::new();
    walk(top, "", &mut found);
    found
}

fn walk(top: &Path, folder: &str, found: &mut Vec<String>) {
    for entry in fs::read_dir(top.join(folder)).unwrap() {
        let entry = entry.unwrap();
        let name = format!("{folder}{}", entry.file_name().to_string_lossy());
        if !entry.path().is_dir() {
            found.push(name);
        } else if name != "target" && name != ".git" {
            walk(top, &format!("{name}/"), found);
        }
    }
}

fn without_licence(top: &Path, files: Vec<String>) -> Vec<String> {
    let tells = |name: &String| {
        // A file that was removed, but not yet in git, has no text.
        let text = fs::read_to_string(top.join(name));
        text.map_or(true, |text| {
            let mut head = text.lines().take(3);
            head.any(|line| line.contains("SPDX-License-Identifier: "))
        })
    };
    let is_exempt = |name: &String| EXEMPT.iter().any(|exempt| name.starts_with(exempt));
    let mut files = files;
    files.retain(|name| !is_exempt(name) && !tells(name));
    files
}

#[test]
fn each_file_tells_its_licence() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let files = files(&top);
    assert!(files.len() > 100, "{files:?}");
    let without = without_licence(&top, files);
    assert!(without.is_empty(), "no SPDX line: {without:?}");
}

#[test]
fn a_tree_without_history_is_walked_and_a_bare_file_is_seen() {
    let top = Path::new(env!("CARGO_TARGET_TMPDIR")).join("licences");
    let _ = fs::remove_dir_all(&top);
    fs::create_dir_all(top.join("a/target")).unwrap();
    fs::create_dir_all(top.join("target")).unwrap();
    fs::write(top.join("a/target/bare"), "x\n").unwrap();
    fs::write(top.join("target/built"), "x\n").unwrap();
    fs::write(top.join("good"), "# SPDX-License-Identifier: MIT\n").unwrap();
    fs::write(top.join("LICENSE"), "x\n").unwrap();
    let mut found = Vec::new();
    walk(&top, "", &mut found);
    found.sort();
    assert_eq!(found, ["LICENSE", "a/target/bare", "good"]);
    assert_eq!(without_licence(&top, found), ["a/target/bare"]);
}
