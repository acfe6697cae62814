// SPDX-License-Identifier: GPL-2.0-only
//! Debian's Rust, which modules and guest programs are built with, whichever Rust built this program.

use std::process::Command;

use crate::setup::packages::{CARGO, RUSTC};

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
