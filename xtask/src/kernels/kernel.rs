// SPDX-License-Identifier: GPL-2.0-only
//! What the workshop knows about a kernel.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::paths;

/// A processor architecture.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Arch {
    X86_64,
    Arm64,
}

impl Arch {
    /// Debian's name for it.
    pub(crate) fn debian(self) -> &'static str {
        match self {
            Self::X86_64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    /// The kernel build's name for it.
    pub(crate) fn linux(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Arm64 => "arm64",
        }
    }

    /// The compilers' name for it.
    pub(crate) fn gnu(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Arm64 => "aarch64",
        }
    }
}

/// A kernel to build for and to boot.
#[derive(Debug)]
pub(crate) struct Kernel {
    pub(crate) name: &'static str,
    pub(crate) arch: Arch,
    pub(crate) source: Source,
}

/// Where a kernel comes from.
#[derive(Debug)]
pub(crate) enum Source {
    /// Debian's package of this series and flavour.
    Stock {
        series: &'static str,
        flavour: &'static str,
    },
    /// Built here from Debian's source.
    Built(&'static Recipe),
}

/// How a kernel is configured and built.
#[derive(Debug)]
pub(crate) struct Recipe {
    /// The series of the source package.
    pub(super) series: &'static str,
    /// The configuration, in addition to the one that all debug kernels share.
    pub(super) fragment: &'static str,
    /// The prefix of compiler names. Modules must be built by compilers of the same name, or their
    /// build warns of another compiler.
    pub(super) prefix: &'static str,
    pub(super) goals: &'static [&'static str],
    pub(super) image: &'static str,
    /// Paths that are not unpacked: half of the source's files are for other architectures.
    pub(super) unused: &'static [&'static str],
}

impl Kernel {
    /// Its folder in the cache.
    pub(crate) fn dir(&self) -> Result<PathBuf> {
        Ok(paths::cache()?.join("kernels").join(self.name))
    }

    /// The kernel's release, as `uname -r` prints it.
    pub(crate) fn release(&self) -> Result<String> {
        let file = self.dir()?.join("release");
        let text = fs::read_to_string(&file).with_context(|| format!("no {}", file.display()))?;
        Ok(text.trim().to_owned())
    }
}
