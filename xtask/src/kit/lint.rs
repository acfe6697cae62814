// SPDX-License-Identifier: GPL-2.0-only
//! Runs clippy over the code that goes into modules.

use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::debian::debian_rust;
use super::list::{Kind, list};
use crate::setup::packages::CARGO;
use crate::{paths, run};

/// Lints against code that would panic or wrap around. Users, the wire and hardware can reach these
/// paths.
const NEVER_IN_A_KERNEL: [&str; 4] = [
    "clippy::arithmetic_side_effects",
    "clippy::expect_used",
    "clippy::indexing_slicing",
    "clippy::unwrap_used",
];

/// A build of the modules to lint. No single build compiles all of the tree's code.
pub(crate) struct Lint {
    pub(crate) name: &'static str,
    /// Its folder, in the folder of all builds. An earlier step has built it.
    pub(crate) built: &'static str,
    target: &'static str,
    /// Whether it is for EVL, which needs no shim.
    pub(crate) evl: bool,
}

/// Three builds: each core, and each architecture.
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

/// Lints all code of this tree that goes into the modules of that build, with its declarations of
/// the kernel.
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

/// Compiles the example of calls that out-of-band code must not make, with its mistakes or without.
/// Returns the errors, each a line that begins with its place.
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
        // As Kbuild does it.
        cargo.arg("-Zprofile-rustflags");
        for package in ["kernel", "oob", "oob-trial"] {
            let flags =
                format!("profile.release.package.{package}.rustflags=['--cfg=oob_core_evl']");
            cargo.args(["--config", &flags]);
        }
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
