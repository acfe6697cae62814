// SPDX-License-Identifier: GPL-2.0-only
//! Builds the kit's modules for a kernel, by make.
//!
//! make decides what to rebuild. Builds for different kernels share Cargo's folder, so code that
//! does not depend on the kernel is compiled once. Code that does depend on it is compiled again at
//! each change of the kernel. One run of this program therefore builds the modules once for each
//! kernel.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use anyhow::{Context, Result, anyhow};

use super::debian::debian_rust;
use crate::kernels::Kernel;
use crate::setup::{self, Need};
use crate::{paths, run};

/// A kernel's modules.
#[derive(Clone)]
pub(crate) struct Built {
    pub(crate) modules: Vec<PathBuf>,
    /// The first warning of this build. Parts that were built before give no warning.
    pub(crate) warning: Option<String>,
}

/// The builds of this run of the program, by the kernel's name.
static BUILT: Mutex<BTreeMap<&str, Built>> = Mutex::new(BTreeMap::new());

/// The kit's modules for a kernel. Builds them unless this run of the program has done so.
pub(crate) fn modules(kernel: &'static Kernel) -> Result<Built> {
    let mut done = BUILT.lock().map_err(|_| anyhow!("a build panicked"))?;
    if let Some(built) = done.get(kernel.name) {
        return Ok(built.clone());
    }
    let built = build(kernel)?;
    done.insert(kernel.name, built.clone());
    Ok(built)
}

/// The kit's modules for a kernel as they were last built, even if the sources have changed since.
pub(crate) fn as_built(kernel: &'static Kernel) -> Result<Vec<PathBuf>> {
    files(&folder(kernel), &["ko"])
}

fn folder(kernel: &'static Kernel) -> PathBuf {
    paths::target().join("kernel").join(kernel.name)
}

fn build(kernel: &'static Kernel) -> Result<Built> {
    setup::ensure(&[Need::Build, Need::Kernel(kernel)])?;
    let kernels = paths::target().join("kernel");
    let out = folder(kernel);
    fs::create_dir_all(&out)?;
    // One build at a time: all kernels share Cargo's folder, where each library has one place for
    // all kernels.
    let lock = File::create(kernels.join("lock"))?;
    lock.lock().context("cannot lock the module folder")?;
    let mut make = make(kernel, &out, &[])?;
    let (text, errors) =
        run::both(&mut make).with_context(|| format!("modules for {}", kernel.name))?;
    let log = kernels.join(format!("{}.log", kernel.name));
    fs::write(log, format!("{text}{errors}"))?;
    let warning = errors
        .lines()
        .find(|line| line.to_lowercase().contains("warning"));
    if let Some(warning) = warning {
        eprintln!("xtask: modules for {}: {warning}", kernel.name);
    }
    Ok(Built {
        modules: files(&out, &["ko"])?,
        warning: warning.map(str::to_owned),
    })
}

/// Compiles the modules against the declarations of EVL in `declared`, over a kernel without EVL.
/// Returns the error, if there is one. Must not run beside [`modules`], because they share Cargo's
/// folder.
pub(crate) fn abi_check(kernel: &'static Kernel, declared: &Path) -> Result<Option<String>> {
    let declared = format!("ABI_DIR={}", declared.display());
    wrong(kernel, "kernel/abi", &["abi-check", &declared])
}

/// Builds modules against a changed `layout.c`. Returns the error, if there is one. Must not run
/// beside [`modules`] either.
pub(crate) fn layout_check(kernel: &'static Kernel, layout: &Path) -> Result<Option<String>> {
    let layout = format!("LAYOUT={}", layout.display());
    wrong(kernel, "kernel/layout", &["modules", &layout])
}

/// The errors of a build in a folder of `target`, if it fails.
fn wrong(kernel: &'static Kernel, out: &str, words: &[&str]) -> Result<Option<String>> {
    setup::ensure(&[Need::Build, Need::Kernel(kernel)])?;
    let made = make(kernel, &paths::target().join(out), words)?.output()?;
    let errors = String::from_utf8_lossy(&made.stderr).into_owned();
    Ok((!made.status.success()).then_some(errors))
}

/// `make` with the arguments that all builds for a kernel share.
fn make(kernel: &'static Kernel, out: &Path, words: &[&str]) -> Result<Command> {
    let mut make = Command::new("make");
    make.arg("-C")
        .arg(paths::repo())
        .arg("--no-print-directory");
    make.arg(format!("KDIR={}", kernel.dir()?.join("build").display()));
    make.arg(format!("O={}", out.display()));
    let cargo = paths::target().join("kernel/cargo");
    make.arg(format!("CARGO_DIR={}", cargo.display()));
    make.args(words);
    debian_rust(&mut make);
    Ok(make)
}

/// Builds the modules with all checks that the link makes, which a build by an earlier run of this
/// program would skip.
pub(crate) fn modules_anew(kernel: &'static Kernel) -> Result<Built> {
    let out = folder(kernel);
    if out.exists() {
        for file in files(&out, &["ko", "o"])? {
            fs::remove_file(file)?;
        }
    }
    modules(kernel)
}

/// The files of a folder with one of these suffixes.
fn files(dir: &Path, endings: &[&str]) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let ending = path.extension().and_then(|ending| ending.to_str());
        if ending.is_some_and(|ending| endings.contains(&ending)) {
            found.push(path);
        }
    }
    Ok(found)
}
