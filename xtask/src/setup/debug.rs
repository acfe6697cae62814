// SPDX-License-Identifier: GPL-2.0-only
//! The debug kernels, built from Debian's source.
//!
//! ```text
//!   linux-source -> tinyconfig + kernel/debug.config, debug-<arch>.config -> image, dtbs, modules, Module.symvers
//! ```
//!
//! The source is built where it lies, so the folder serves as it is to build modules against. It counts
//! as ready only with the configuration and the compiler that are asked for now.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::kernel::{Arch, Kernel};
use super::{apt, packages};
use crate::run;

const COMMON: &str = include_str!("../../kernel/debug.config");

/// What differs between the architectures.
struct Target {
    fragment: &'static str,
    /// Before a compiler's name; by the names under which modules are built, or each of them would be told that it
    /// differs.
    prefix: &'static str,
    /// What is built.
    goals: &'static [&'static str],
    image: &'static str,
    /// Half of the source's files, and of the time, is for what is not built.
    unused: &'static [&'static str],
}

fn target(arch: Arch) -> &'static Target {
    match arch {
        Arch::X86_64 => &Target {
            fragment: include_str!("../../kernel/debug-amd64.config"),
            prefix: "",
            goals: &["bzImage", "modules"],
            image: "arch/x86/boot/bzImage",
            unused: &["arch/[!x]*.[chS]", "arch/[!x]*.dts*"],
        },
        Arch::Arm64 => &Target {
            fragment: include_str!("../../kernel/debug-arm64.config"),
            prefix: "aarch64-linux-gnu-",
            goals: &["Image", "modules", "dtbs"],
            image: "arch/arm64/boot/Image",
            unused: &["arch/[!a]*.[chS]"],
        },
    }
}

/// What the result depends on, beside the source's version.
fn recipe(arch: Arch) -> Result<String> {
    let Target {
        fragment, prefix, ..
    } = target(arch);
    let compiler = run::output(Command::new(format!("{prefix}gcc")).arg("--version"))?;
    Ok(format!("{compiler}\n{COMMON}{fragment}"))
}

/// Downloads, configures and builds it.
pub(crate) fn build(kernel: &Kernel, series: &str) -> Result<()> {
    let target = target(kernel.arch);
    let make = |source| make(source, kernel.arch, target.prefix);
    let dir = kernel.dir()?;
    if dir.exists() {
        fs::remove_dir_all(&dir)?;
    }
    let package = package(series);
    let version = apt::candidate(&package).with_context(|| format!("{package} cannot be had"))?;
    let root = dir.join("root");
    apt::unpack(std::slice::from_ref(&package), &root)?;
    let archive = root.join("usr/src").join(format!("{package}.tar.xz"));
    let source = dir.join("source");
    fs::create_dir_all(&source)?;
    let mut tar = Command::new("tar");
    for unused in target
        .unused
        .iter()
        .chain(&["Documentation/*/*", "tools/testing/*"])
    {
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
    fs::write(&fragment, format!("{COMMON}{}", target.fragment))?;
    let mut merge = Command::new("scripts/kconfig/merge_config.sh");
    merge
        .args(["-m", ".config"])
        .arg(&fragment)
        .current_dir(&source);
    run::output(&mut merge)?;
    run::output(make(&source).arg("olddefconfig"))?;
    check(
        &fs::read_to_string(&fragment)?,
        &fs::read_to_string(source.join(".config"))?,
    )?;
    let jobs = std::thread::available_parallelism().map_or(2, usize::from);
    run::output(make(&source).arg(format!("-j{jobs}")).args(target.goals))?;

    let release = run::output(make(&source).args(["-s", "kernelrelease"]))?;
    let staged = dir.join("staged");
    run::output(
        make(&source)
            .arg(format!("INSTALL_MOD_PATH={}", staged.display()))
            .arg(format!("DEPMOD={}", packages::DEPMOD))
            .arg("modules_install"),
    )?;
    let installed = format!("staged/lib/modules/{}", release.trim());
    symlink(installed, dir.join("modules"))?;
    symlink("source", dir.join("build"))?;
    symlink(format!("source/{}", target.image), dir.join("vmlinuz"))?;
    if kernel.arch == Arch::Arm64 {
        symlink("source/arch/arm64/boot/dts", dir.join("dtb"))?;
    }
    let key = format!("{version}\n{}", recipe(kernel.arch)?);
    fs::write(dir.join("key"), key)?;
    fs::write(dir.join("release"), release)?;
    Ok(())
}

fn make(source: &Path, arch: Arch, prefix: &str) -> Command {
    let mut cmd = Command::new("make");
    cmd.arg(format!("CC={prefix}gcc"))
        .arg(format!("CROSS_COMPILE={prefix}"))
        .arg(format!("ARCH={}", arch.linux()))
        .current_dir(source);
    // Ours may be a job server's, or meant for other sources.
    for name in ["MAKEFLAGS", "MAKELEVEL", "KBUILD_OUTPUT", "O"] {
        cmd.env_remove(name);
    }
    cmd
}

/// Kconfig drops silently what it cannot grant; we do not.
fn check(asked: &str, config: &str) -> Result<()> {
    let refused: Vec<&str> = asked
        .lines()
        .filter(|line| line.starts_with("CONFIG_") && !config.lines().any(|have| have == *line))
        .collect();
    if !refused.is_empty() {
        bail!("this kernel source does not grant {}", refused.join(", "));
    }
    Ok(())
}

/// Whether what lies there was built from what would be built now. Without package lists, nothing is known of a newer source;
/// without its compiler, which may be about to be installed, it is not known to be current.
pub(crate) fn is_current(dir: &Path, arch: Arch, series: &str) -> Result<bool> {
    let have = fs::read_to_string(dir.join("key")).unwrap_or_default();
    let Some((version, have)) = have.split_once('\n') else {
        return Ok(false);
    };
    let newest = apt::candidate(&package(series));
    let is_newest = newest.is_none_or(|newest| newest == version);
    Ok(is_newest && recipe(arch).is_ok_and(|recipe| recipe == have))
}

fn package(series: &str) -> String {
    format!("linux-source-{series}")
}
