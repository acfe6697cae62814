// SPDX-License-Identifier: GPL-2.0-only
//! The debug kernel, built from Debian's source.
//!
//! ```text
//!   linux-source -> tinyconfig + kernel/debug.config -> bzImage, Module.symvers
//! ```
//!
//! The source is built where it lies, so the folder serves as it is to build modules against. It counts
//! as ready only with the configuration and the compiler that are asked for now.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::apt;
use super::kernel::Kernel;
use crate::run;

const FRAGMENT: &str = include_str!("../../kernel/debug.config");
// By the name under which modules are built, or each of them would be told that it differs.
const COMPILER: &str = "gcc";

/// What the result depends on, beside the source's version.
pub(crate) fn key() -> Result<String> {
    let compiler = run::output(Command::new(COMPILER).arg("--version"))?;
    Ok(format!("{compiler}\n{FRAGMENT}"))
}

/// Downloads, configures and builds it.
pub(crate) fn build(kernel: &Kernel, series: &str) -> Result<()> {
    let dir = kernel.dir()?;
    if dir.exists() {
        fs::remove_dir_all(&dir)?;
    }
    let package = format!("linux-source-{series}");
    let root = dir.join("root");
    apt::unpack(std::slice::from_ref(&package), &root)?;
    let archive = root.join("usr/src").join(format!("{package}.tar.xz"));
    let source = dir.join("source");
    fs::create_dir_all(&source)?;
    let mut tar = Command::new("tar");
    // Half of the files, and of the time, is for what is not built.
    let unused = [
        "arch/[!x]*.[chS]",
        "arch/[!x]*.dts*",
        "Documentation/*/*",
        "tools/testing/*",
    ];
    for unused in unused {
        tar.arg(format!("--exclude={package}/{unused}"));
    }
    tar.args(["--extract", "--strip-components=1", "--file"])
        .arg(&archive)
        .arg("-C")
        .arg(&source);
    run::output(&mut tar)?;
    fs::remove_dir_all(&root)?;

    run::output(make(&source).arg("tinyconfig"))?;
    let fragment = dir.join("fragment");
    fs::write(&fragment, FRAGMENT)?;
    let mut merge = Command::new("scripts/kconfig/merge_config.sh");
    merge
        .args(["-m", ".config"])
        .arg(&fragment)
        .current_dir(&source);
    run::output(&mut merge)?;
    run::output(make(&source).arg("olddefconfig"))?;
    check(&fs::read_to_string(source.join(".config"))?)?;
    let jobs = std::thread::available_parallelism().map_or(2, usize::from);
    run::output(
        make(&source)
            .arg(format!("-j{jobs}"))
            .args(["bzImage", "modules"]),
    )?;

    let release = run::output(make(&source).args(["-s", "kernelrelease"]))?;
    let modules = dir.join("modules");
    fs::create_dir_all(&modules)?;
    fs::copy(
        source.join("modules.builtin"),
        modules.join("modules.builtin"),
    )?;
    symlink("source", dir.join("build"))?;
    symlink("source/arch/x86/boot/bzImage", dir.join("vmlinuz"))?;
    fs::write(dir.join("key"), key()?)?;
    fs::write(dir.join("release"), release)?;
    Ok(())
}

fn make(source: &Path) -> Command {
    let mut cmd = Command::new("make");
    cmd.arg(format!("CC={COMPILER}"))
        .arg("ARCH=x86_64")
        .current_dir(source);
    // Ours may be a job server's, or meant for other sources.
    for name in ["MAKEFLAGS", "MAKELEVEL", "KBUILD_OUTPUT", "O"] {
        cmd.env_remove(name);
    }
    cmd
}

/// Kconfig drops silently what it cannot grant; we do not.
fn check(config: &str) -> Result<()> {
    let refused: Vec<&str> = FRAGMENT
        .lines()
        .filter(|line| line.starts_with("CONFIG_") && !config.lines().any(|have| have == *line))
        .collect();
    if !refused.is_empty() {
        bail!("this kernel source does not grant {}", refused.join(", "));
    }
    Ok(())
}

/// Whether what lies there was built from what would be built now.
pub(crate) fn is_current(dir: &Path) -> Result<bool> {
    let have = fs::read_to_string(dir.join("key")).unwrap_or_default();
    Ok(!have.is_empty() && have == key().context("the debug kernel's compiler")?)
}
