// SPDX-License-Identifier: GPL-2.0-only
//! The kit itself, built for a guest: modules by make, user programs by Cargo.
//!
//! Both decide by themselves what is to be built again. Both use Debian's Rust, whichever one runs us.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::setup::kernel::{Arch, Kernel};
use crate::setup::packages::{CARGO, RUSTC};
use crate::setup::{self, Need};
use crate::{paths, run};

/// The user programs that every guest gets.
const PROGRAMS: &[&str] = &["closed-loop", "oob-bench", "guest-tests"];

/// The kit's modules, in load order.
const MODULES: &str = include_str!("../../modules.list");

/// What a module is, beside a module.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Driver,
    /// Stands in for EVL, and is not built for a kernel that has it.
    Shim,
    /// Simulated hardware, for machines that lack it.
    Board,
}

/// A module of the kit.
#[derive(Debug)]
pub(crate) struct Module {
    pub(crate) name: &'static str,
    /// In the repository: a Cargo package.
    folder: &'static str,
    pub(crate) kind: Kind,
}

/// The kit's modules, in load order.
pub(crate) fn list() -> impl Iterator<Item = Module> {
    MODULES.lines().filter_map(|line| {
        let mut words = line.split('#').next()?.split_whitespace();
        let (name, folder) = (words.next()?, words.next()?);
        let kind = match words.next() {
            Some("shim") => Kind::Shim,
            Some("board") => Kind::Board,
            _ => Kind::Driver,
        };
        Some(Module { name, folder, kind })
    })
}

impl Module {
    /// The name of its Cargo package.
    fn package(&self) -> Result<String> {
        let manifest = paths::repo().join(self.folder).join("Cargo.toml");
        let text = fs::read_to_string(&manifest)?;
        let name = text.lines().find_map(|line| line.strip_prefix("name = "));
        let name = name.with_context(|| format!("no name in {}", manifest.display()))?;
        Ok(name.trim_matches('"').to_owned())
    }
}

/// A kernel's modules.
pub(crate) struct Built {
    pub(crate) modules: Vec<PathBuf>,
    /// The first warning of this build, which says nothing of what was built before.
    pub(crate) warning: Option<String>,
}

/// Builds the kit's modules for a kernel.
pub(crate) fn modules(kernel: &'static Kernel) -> Result<Built> {
    setup::ensure(&[Need::Build, Need::Kernel(kernel)])?;
    let kernels = paths::target().join("kernel");
    let out = kernels.join(kernel.name);
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

/// Builds them with all the checks that are made when they are linked.
pub(crate) fn modules_anew(kernel: &'static Kernel) -> Result<Built> {
    let out = paths::target().join("kernel").join(kernel.name);
    if out.exists() {
        for file in files(&out, &["ko", "o"])? {
            fs::remove_file(file)?;
        }
    }
    modules(kernel)
}

/// What a path that a user, the wire or hardware can reach must not have: it would panic, or go round.
const NEVER_IN_A_KERNEL: [&str; 4] = [
    "clippy::arithmetic_side_effects",
    "clippy::expect_used",
    "clippy::indexing_slicing",
    "clippy::unwrap_used",
];

/// A build of the modules that is linted: none compiles all of the tree's code.
pub(crate) struct Lint {
    pub(crate) name: &'static str,
    /// Where it lies, in the folder of all builds; it has been built.
    built: &'static str,
    target: &'static str,
    /// For EVL, which needs no shim.
    evl: bool,
}

/// The three of them: on each core, and for each architecture.
pub(crate) const LINTS: [Lint; 3] = [
    Lint {
        name: "x86_64",
        built: "6.12-rt-amd64",
        target: "x86_64-unknown-none",
        evl: false,
    },
    Lint {
        name: "x86_64, EVL",
        built: "abi/abi-32",
        target: "x86_64-unknown-none",
        evl: true,
    },
    Lint {
        name: "arm64",
        built: "6.12-rt-arm64",
        target: "aarch64-unknown-none-softfloat",
        evl: false,
    },
];

/// Lints all of this tree that goes into the modules of such a build, with its declarations of the kernel.
pub(crate) fn lint_modules(lint: &Lint) -> Result<()> {
    let mut cargo = clippy(lint);
    cargo.args(["--package", "kernel"]);
    for module in list() {
        if lint.evl && module.kind == Kind::Shim {
            continue;
        }
        let package = module.package()?;
        cargo.args(["--package", &package]);
        cargo.args(["--features", &format!("{package}/module")]);
    }
    cargo.args(["--", "-D", "warnings"]);
    for lint in NEVER_IN_A_KERNEL {
        cargo.args(["-D", lint]);
    }
    run::output(&mut cargo).map(drop)
}

/// Compiles the example of what out-of-band code cannot call, with its mistakes or without: where it does not compile, and the
/// errors there, each a line that begins with its place.
pub(crate) fn promises(lint: &Lint, with_mistakes: bool) -> Result<Vec<String>> {
    let mut cargo = clippy(lint);
    cargo.args(["--package", "kernel", "--example", "promises"]);
    cargo.args(["--features", "promises"]);
    cargo.args(["--message-format", "short", "--", "-D", "warnings"]);
    if with_mistakes {
        cargo.args(["--cfg", "mistakes"]);
    }
    let out = cargo.output().context("cannot run cargo clippy")?;
    let said = String::from_utf8_lossy(&out.stderr);
    let errors = said.lines().filter(|line| line.contains("error"));
    let errors: Vec<_> = errors.map(str::to_owned).collect();
    ensure!(out.status.success() == errors.is_empty(), "{said}");
    Ok(errors)
}

/// Clippy, set up for such a build.
fn clippy(lint: &Lint) -> Command {
    let mut cargo = Command::new(CARGO);
    cargo.args(["clippy", "--locked", "--release", "-Zbuild-std=core"]);
    cargo.args(["--target", lint.target]);
    debian_rust(&mut cargo);
    if lint.evl {
        cargo.env("RUSTFLAGS", "--cfg=oob_core_evl");
    }
    let kernels = paths::target().join("kernel");
    let path = std::env::var("PATH").unwrap_or_default();
    cargo
        .env("PATH", format!("/usr/bin:{path}"))
        .env("RUSTC_BOOTSTRAP", "1")
        .env("OOBKIT_BINDINGS", kernels.join(lint.built).join("rust"))
        .env("CARGO_TARGET_DIR", kernels.join("lint"))
        .current_dir(paths::repo());
    cargo
}

/// Builds the user programs, linked statically, and gives back their files.
pub(crate) fn programs(arch: Arch) -> Result<Vec<PathBuf>> {
    setup::ensure(&[Need::Build])?;
    setup::ensure(&[Need::RustStd(arch)])?;
    let triple = format!("{}-unknown-linux-gnu", arch.gnu());
    let target = paths::target().join("guest");
    let mut flags = "-Ctarget-feature=+crt-static -Cstrip=debuginfo".to_owned();
    let mut cargo = Command::new(CARGO);
    cargo.args(["build", "--quiet", "--release", "--target", &triple]);
    for program in PROGRAMS {
        cargo.args(["--package", program]);
    }
    debian_rust(&mut cargo);
    let variable = |what: &str| {
        format!(
            "CARGO_TARGET_{}_{what}",
            triple.to_uppercase().replace('-', "_")
        )
    };
    if arch == Arch::Arm64 {
        let sysroot = setup::rust_std(arch)?.join("usr");
        flags.push_str(&format!(" --sysroot={}", sysroot.display()));
        cargo.env(variable("LINKER"), "aarch64-linux-gnu-gcc");
    }
    cargo.env(variable("RUSTFLAGS"), flags);
    cargo
        .env("CARGO_TARGET_DIR", &target)
        .current_dir(paths::repo());
    run::output(&mut cargo).context("the guest's programs")?;
    let release = target.join(&triple).join("release");
    Ok(PROGRAMS.iter().map(|name| release.join(name)).collect())
}

/// Cleared of what the Cargo that runs us has set for itself.
pub(crate) fn debian_rust(cmd: &mut Command) {
    cmd.env("CARGO", CARGO).env("RUSTC", RUSTC);
    for name in [
        "CARGO_TARGET_DIR",
        "LD_LIBRARY_PATH",
        "MAKEFLAGS",
        "RUSTFLAGS",
        "RUSTUP_TOOLCHAIN",
    ] {
        cmd.env_remove(name);
    }
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
