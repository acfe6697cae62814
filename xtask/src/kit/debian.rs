// SPDX-License-Identifier: GPL-2.0-only
//! Debian's Rust. It builds modules and guest programs, even if another Rust built this program.

use std::process::Command;

use crate::setup::packages::{CARGO, RUSTC};

/// Removes the variables that the Cargo that runs this program has set for itself.
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
