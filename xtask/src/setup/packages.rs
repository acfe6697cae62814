// SPDX-License-Identifier: GPL-2.0-only
//! The packages that must be installed on this machine, by purpose.

use anyhow::{Context, Result, bail};

use super::apt;

/// The Rust that builds modules and guest programs: Debian's, because it comes with the source of
/// its library.
pub(crate) const RUSTC: &str = "/usr/bin/rustc";
/// Its Cargo.
pub(crate) const CARGO: &str = "/usr/bin/cargo";
/// Its folder is not in an ordinary user's PATH.
pub(crate) const DEPMOD: &str = "/sbin/depmod";

/// To unpack kernels.
pub(crate) const UNPACK: &[&str] = &["kmod", "xz-utils"];

/// To build modules and user programs for either architecture.
pub(crate) const BUILD: &[&str] = &[
    "bc",
    "binutils",
    "binutils-aarch64-linux-gnu",
    "cargo-web",
    "clang-19",
    "device-tree-compiler",
    "gcc-12",
    "gcc-12-aarch64-linux-gnu",
    "gcc-aarch64-linux-gnu",
    "gcc",
    "libc6-dev",
    "libc6-dev-arm64-cross",
    "libclang1-19",
    "libelf-dev",
    "llvm-19",
    "make",
    "rust-web-src",
    "rustc-web",
];

/// To build a whole kernel.
pub(crate) const KERNEL_BUILD: &[&str] = &["bison", "flex", "libssl-dev", "cpio"];

/// To check the tree itself. The last package is ThreadSanitizer's runtime.
pub(crate) const LINT: &[&str] = &["rustfmt-web", "rust-web-clippy", "libclang-rt-19-dev"];

/// To count the instructions of a process.
pub(crate) const VALGRIND: &[&str] = &["valgrind"];

/// The emulators.
pub(super) const QEMU: &[&str] = &["qemu-system-arm", "qemu-system-x86", "qemu-utils"];
/// The first version that models the BCM2835 SPI controller and the i.MX 8M Plus board.
const QEMU_VERSION: &str = "1:10.0";

/// Fails on any system but the one whose package names are known.
pub(crate) fn check_system() -> Result<String> {
    let text = std::fs::read_to_string("/etc/os-release").context("no /etc/os-release")?;
    let codename = text
        .lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    match codename {
        Some("bookworm") => Ok("bookworm".to_owned()),
        other => {
            bail!("the set-up supports only Debian 12 (bookworm); this machine runs {other:?}")
        }
    }
}

/// Whether a new enough emulator is installed.
pub(crate) fn has_qemu() -> bool {
    QEMU.iter()
        .take(2)
        .all(|package| apt::is_at_least(package, QEMU_VERSION))
}

/// Installs the emulators from the backports suite.
pub(crate) fn install_qemu() -> Result<()> {
    let suite = format!("{}-backports", check_system()?);
    if apt::add_backports(&suite)? {
        apt::update()?;
    }
    apt::install(QEMU, Some(&suite))?;
    if !has_qemu() {
        bail!("{suite} has no QEMU {QEMU_VERSION} or newer");
    }
    Ok(())
}
