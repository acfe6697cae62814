// SPDX-License-Identifier: GPL-2.0-only
//! Where files are kept.
//!
//! ```text
//!   repository   target/kernel/<kernel>    the kit's modules, one folder for each kernel
//!                target/guest              user programs for the guests
//!                target/vm/<machine>       what a machine was booted with, its log, its out/
//!   cache        kernels/<kernel>          stock kernels with their headers, the debug kernel
//!                busybox/<arch>  rust-std/<arch>
//! ```
//!
//! Files that are costly to fetch or build and do not depend on the tree are in the cache. The
//! cache survives `git clean`, and all work trees share it.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The repository's top folder.
pub(crate) fn repo() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own).to_path_buf()
}

/// The repository's `target` folder. It is the same wherever Cargo is told to build.
pub(crate) fn target() -> PathBuf {
    repo().join("target")
}

/// `$OOBKIT_CACHE`, else `$XDG_CACHE_HOME/oobkit`, else `~/.cache/oobkit`.
pub(crate) fn cache() -> Result<PathBuf> {
    if let Some(dir) = env::var_os("OOBKIT_CACHE") {
        return Ok(PathBuf::from(dir));
    }
    if let Some(dir) = env::var_os("XDG_CACHE_HOME") {
        return Ok(PathBuf::from(dir).join("oobkit"));
    }
    let home = env::var_os("HOME").context("neither OOBKIT_CACHE nor HOME is set")?;
    Ok(PathBuf::from(home).join(".cache/oobkit"))
}

/// Replaces `dir` by a finished folder.
pub(crate) fn replace(dir: &Path, fresh: &Path) -> Result<()> {
    if dir.exists() {
        fs::remove_dir_all(dir)?;
    }
    fs::rename(fresh, dir).with_context(|| format!("cannot make {}", dir.display()))
}
