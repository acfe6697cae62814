// SPDX-License-Identifier: GPL-2.0-only
//! The user programs of the guests, built by Debian's Cargo.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;

use anyhow::{Context, Result, anyhow};

use super::debian::debian_rust;
use crate::kernels::Arch;
use crate::setup::packages::CARGO;
use crate::setup::{self, Need};
use crate::{paths, run};

/// Cargo's profile for them.
const PROFILE: &str = "guest";

/// The user programs in every guest.
const PROGRAMS: &[&str] = &["closed-loop", "oob-bench", "guest-tests"];

/// The architectures for which this run of the program has built them.
static BUILT: Mutex<Vec<Arch>> = Mutex::new(Vec::new());

/// The user programs' files, linked statically. Builds them unless this run of the program has done
/// so.
pub(crate) fn programs(arch: Arch) -> Result<Vec<PathBuf>> {
    let mut done = BUILT.lock().map_err(|_| anyhow!("a build panicked"))?;
    if !done.contains(&arch) {
        build(arch)?;
        done.push(arch);
    }
    Ok(as_built(arch))
}

/// The user programs' files as they were last built, even if the sources have changed since.
pub(crate) fn as_built(arch: Arch) -> Vec<PathBuf> {
    let built = target().join(triple(arch)).join(PROFILE);
    PROGRAMS.iter().map(|name| built.join(name)).collect()
}

fn triple(arch: Arch) -> String {
    format!("{}-unknown-linux-gnu", arch.gnu())
}

fn target() -> PathBuf {
    paths::target().join("guest")
}

fn build(arch: Arch) -> Result<()> {
    setup::ensure(&[Need::Build])?;
    setup::ensure(&[Need::RustStd(arch)])?;
    let triple = triple(arch);
    let mut flags = "-Ctarget-feature=+crt-static -Cstrip=debuginfo".to_owned();
    let mut cargo = Command::new(CARGO);
    cargo.args([
        "build",
        "--quiet",
        "--profile",
        PROFILE,
        "--target",
        &triple,
    ]);
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
        .env("CARGO_TARGET_DIR", target())
        .current_dir(paths::repo());
    run::output(&mut cargo).context("the guest's programs")?;
    Ok(())
}
