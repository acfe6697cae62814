// SPDX-License-Identifier: GPL-2.0-only
//! The kit's modules, built for a kernel by make.
//!
//! make decides what must be built again. Builds for one kernel after the other share Cargo's folder, so that what does not
//! depend on the kernel is compiled once; but what does is compiled again at each change of the kernel. So within one run of this
//! program modules are built once for each kernel.

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
    /// The first warning of this build, which says nothing of what was built before.
    pub(crate) warning: Option<String>,
}

/// What this run of the program has built, by the kernel's name.
static BUILT: Mutex<BTreeMap<&str, Built>> = Mutex::new(BTreeMap::new());

/// The kit's modules for a kernel, built unless this run of the program has built them already.
pub(crate) fn modules(kernel: &'static Kernel) -> Result<Built> {
    let mut done = BUILT.lock().map_err(|_| anyhow!("a build panicked"))?;
    if let Some(built) = done.get(kernel.name) {
        return Ok(built.clone());
    }
    let built = build(kernel)?;
    done.insert(kernel.name, built.clone());
    Ok(built)
}

/// The kit's modules for a kernel as they were last built, whatever the sources are now.
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
    // One at a time: all kernels share Cargo's folder, in which a library has one place whatever the kernel.
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

/// Holds the modules against the declarations of EVL in `declared`, over a kernel without it: what is wrong, if anything is.
/// Not beside [`modules`]: they share Cargo's folder.
pub(crate) fn abi_check(kernel: &'static Kernel, declared: &Path) -> Result<Option<String>> {
    let declared = format!("ABI_DIR={}", declared.display());
    wrong(kernel, "kernel/abi", &["abi-check", &declared])
}

/// Builds modules whose structures are held against what `layout` says of them: what is wrong, if anything is.
/// Not beside [`modules`], either.
pub(crate) fn layout_check(kernel: &'static Kernel, layout: &Path) -> Result<Option<String>> {
    let layout = format!("LAYOUT={}", layout.display());
    wrong(kernel, "kernel/layout", &["modules", &layout])
}

/// What a build in a folder of `target` has to say if it fails.
fn wrong(kernel: &'static Kernel, out: &str, words: &[&str]) -> Result<Option<String>> {
    setup::ensure(&[Need::Build, Need::Kernel(kernel)])?;
    let made = make(kernel, &paths::target().join(out), words)?.output()?;
    let errors = String::from_utf8_lossy(&made.stderr).into_owned();
    Ok((!made.status.success()).then_some(errors))
}

/// `make` with what is the same for all that is built for a kernel.
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

/// Builds them with all the checks that are made when they are linked, which an earlier run of this program may have seen.
pub(crate) fn modules_anew(kernel: &'static Kernel) -> Result<Built> {
    let out = folder(kernel);
    if out.exists() {
        for file in files(&out, &["ko", "o"])? {
            fs::remove_file(file)?;
        }
    }
    modules(kernel)
}

/// The files of a folder with one of these endings.
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
