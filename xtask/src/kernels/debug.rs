// SPDX-License-Identifier: GPL-2.0-only
//! The debug kernels, built from Debian's source.
//!
//! ```text
//!   linux-source -> tinyconfig + debug.config, debug_<arch>.config -> image, dtbs, modules, Module.symvers
//! ```
//!
//! The source folder itself serves to build modules against. The kernel counts as ready only if it
//! was built with the present configuration and compiler.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::kernel::{Arch, Kernel, Recipe};
use crate::run;
use crate::setup::{apt, packages};

const COMMON: &str = include_str!("debug.config");

/// Everything but the source's version that the result depends on.
fn key(recipe: &Recipe) -> Result<String> {
    let Recipe {
        fragment, prefix, ..
    } = recipe;
    let compiler = run::output(Command::new(format!("{prefix}gcc")).arg("--version"))?;
    Ok(format!("{compiler}\n{COMMON}{fragment}"))
}

/// Downloads, configures and builds the kernel.
pub(crate) fn build(kernel: &Kernel, recipe: &Recipe) -> Result<()> {
    let make = |source| make(source, kernel.arch, recipe.prefix);
    let dir = kernel.dir()?;
    if dir.exists() {
        fs::remove_dir_all(&dir)?;
    }
    let package = package(recipe);
    let version =
        apt::candidate(&package).with_context(|| format!("apt does not find {package}"))?;
    let root = dir.join("root");
    apt::unpack(std::slice::from_ref(&package), &root)?;
    let archive = root.join("usr/src").join(format!("{package}.tar.xz"));
    let source = dir.join("source");
    fs::create_dir_all(&source)?;
    let mut tar = Command::new("tar");
    for unused in recipe
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
    fs::write(&fragment, format!("{COMMON}{}", recipe.fragment))?;
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
    run::output(make(&source).arg(format!("-j{jobs}")).args(recipe.goals))?;

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
    symlink(format!("source/{}", recipe.image), dir.join("vmlinuz"))?;
    if kernel.arch == Arch::Arm64 {
        symlink("source/arch/arm64/boot/dts", dir.join("dtb"))?;
    }
    let key = format!("{version}\n{}", key(recipe)?);
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
    // This program's own values may be a job server's, or be meant for other sources.
    for name in ["MAKEFLAGS", "MAKELEVEL", "KBUILD_OUTPUT", "O"] {
        cmd.env_remove(name);
    }
    cmd
}

/// Kconfig silently drops options that it cannot set. This fails instead.
fn check(asked: &str, config: &str) -> Result<()> {
    let refused: Vec<&str> = asked
        .lines()
        .filter(|line| line.starts_with("CONFIG_") && !config.lines().any(|have| have == *line))
        .collect();
    if !refused.is_empty() {
        bail!("this kernel source does not accept {}", refused.join(", "));
    }
    Ok(())
}

/// Whether the kernel in the folder equals the one that would be built now. Without package lists a
/// newer source is not known. Without its compiler, which may be installed later, the kernel does
/// not count as current.
pub(super) fn is_current(dir: &Path, recipe: &Recipe) -> Result<bool> {
    let have = fs::read_to_string(dir.join("key")).unwrap_or_default();
    let Some((version, have)) = have.split_once('\n') else {
        return Ok(false);
    };
    let newest = apt::candidate(&package(recipe));
    let is_newest = newest.is_none_or(|newest| newest == version);
    Ok(is_newest && key(recipe).is_ok_and(|key| key == have))
}

fn package(recipe: &Recipe) -> String {
    format!("linux-source-{}", recipe.series)
}
