// SPDX-License-Identifier: GPL-2.0-only
//! Kernels: which there are, and how a stock one is unpacked.
//!
//! ```text
//!   <cache>/kernels/6.12-rt-arm64/
//!       build    -> the headers, as `make -C` wants them
//!       vmlinuz  -> the image to boot
//!       modules  -> lib/modules/<release>, with modules.dep
//!       dtb      -> the board descriptions (arm64)
//!       release     the kernel's own name, written last: the folder is whole
//!       root/       the packages, unpacked
//! ```
//!
//! The headers packages find each other by relative links, but for one line of their Makefile, which is
//! rewritten. The tools in them are programs of the machine that builds, so that of an arm64 headers
//! package is replaced by the same package for this machine.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{apt, debug, packages};
use crate::{paths, run};

/// A processor architecture.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Arch {
    X86_64,
    Arm64,
}

impl Arch {
    /// As Debian calls it.
    pub(crate) fn debian(self) -> &'static str {
        match self {
            Self::X86_64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    /// As the kernel's build calls it.
    pub(crate) fn linux(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Arm64 => "arm64",
        }
    }

    /// As compilers call it.
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
    /// Built here from Debian's source of this series.
    Built { series: &'static str },
}

/// Every kernel that the workshop knows.
pub(crate) const KERNELS: &[Kernel] = &[
    stock("6.12-rt-amd64", Arch::X86_64, "6.12", "rt-amd64"),
    stock("6.12-amd64", Arch::X86_64, "6.12", "amd64"),
    stock("6.1-rt-amd64", Arch::X86_64, "6.1", "rt-amd64"),
    stock("6.12-rt-arm64", Arch::Arm64, "6.12", "rt-arm64"),
    stock("6.12-arm64", Arch::Arm64, "6.12", "arm64"),
    stock("6.1-rt-arm64", Arch::Arm64, "6.1", "rt-arm64"),
    stock("6.1-amd64", Arch::X86_64, "6.1", "amd64"),
    built("debug-amd64", Arch::X86_64),
    built("debug-arm64", Arch::Arm64),
];

const fn built(name: &'static str, arch: Arch) -> Kernel {
    let source = Source::Built { series: "6.12" };
    Kernel { name, arch, source }
}

const fn stock(
    name: &'static str,
    arch: Arch,
    series: &'static str,
    flavour: &'static str,
) -> Kernel {
    Kernel {
        name,
        arch,
        source: Source::Stock { series, flavour },
    }
}

/// The kernel of this name.
pub(crate) fn named(name: &str) -> Result<&'static Kernel> {
    let names = || {
        KERNELS
            .iter()
            .map(|kernel| kernel.name)
            .collect::<Vec<_>>()
            .join(", ")
    };
    KERNELS
        .iter()
        .find(|kernel| kernel.name == name)
        .with_context(|| format!("no kernel is called {name}; there are {}", names()))
}

impl Kernel {
    /// Its folder in the cache.
    pub(crate) fn dir(&self) -> Result<PathBuf> {
        Ok(paths::cache()?.join("kernels").join(self.name))
    }

    /// Whether it is there, whole.
    pub(crate) fn is_ready(&self) -> Result<bool> {
        let dir = self.dir()?;
        if !dir.join("release").exists() {
            return Ok(false);
        }
        match self.source {
            Source::Stock { .. } => Ok(true),
            Source::Built { series } => debug::is_current(&dir, self.arch, series),
        }
    }

    /// Its own name, as `uname -r` tells it.
    pub(crate) fn release(&self) -> Result<String> {
        let file = self.dir()?.join("release");
        let text = fs::read_to_string(&file).with_context(|| format!("no {}", file.display()))?;
        Ok(text.trim().to_owned())
    }
}

/// Downloads and unpacks Debian's kernel of this series and flavour.
pub(crate) fn unpack_stock(kernel: &Kernel, series: &str, flavour: &str) -> Result<()> {
    let arch = kernel.arch.debian();
    let version = newest(series, flavour, arch)?;
    let release = format!("{version}-{flavour}");
    let headers = format!("linux-headers-{release}");
    let needs = apt::depends(&format!("{headers}:{arch}"))?;
    let need = |prefix: &str| {
        let found = needs.iter().find(|name| name.starts_with(prefix));
        found
            .cloned()
            .with_context(|| format!("{headers} depends on no {prefix}*"))
    };
    let common = need("linux-headers-")?;
    let kbuild = need("linux-kbuild-")?;
    let wanted = [
        format!("linux-image-{release}:{arch}"),
        format!("{headers}:{arch}"),
        common.clone(),
        kbuild,
    ];

    let dir = kernel.dir()?;
    let fresh = dir.with_extension("new");
    if fresh.exists() {
        fs::remove_dir_all(&fresh)?;
    }
    let root = fresh.join("root");
    apt::unpack(&wanted, &root)?;

    let modules = root.join("lib/modules").join(&release);
    for link in ["build", "source"] {
        // Absolute, into this machine's /usr/src: nothing there belongs to this kernel.
        let _ = fs::remove_file(modules.join(link));
    }
    let here = "$(dir $(realpath $(lastword $(MAKEFILE_LIST))))";
    let makefile = root.join("usr/src").join(&headers).join("Makefile");
    fs::write(&makefile, format!("include {here}../{common}/Makefile\n"))?;
    run::output(
        Command::new(packages::DEPMOD)
            .arg("-b")
            .arg(&root)
            .arg(&release),
    )?;

    symlink(format!("root/usr/src/{headers}"), fresh.join("build"))?;
    symlink(
        format!("root/boot/vmlinuz-{release}"),
        fresh.join("vmlinuz"),
    )?;
    symlink(format!("root/lib/modules/{release}"), fresh.join("modules"))?;
    if kernel.arch == Arch::Arm64 {
        symlink(
            format!("root/usr/lib/linux-image-{release}"),
            fresh.join("dtb"),
        )?;
    }
    for link in ["build/Makefile", "vmlinuz", "modules/modules.dep"] {
        if !fresh.join(link).exists() {
            bail!("the packages of {release} hold no {link}");
        }
    }
    fs::write(fresh.join("release"), format!("{release}\n"))?;
    replace(&dir, &fresh)
}

/// Puts a finished folder in the place of whatever was there.
pub(crate) fn replace(dir: &Path, fresh: &Path) -> Result<()> {
    if dir.exists() {
        fs::remove_dir_all(dir)?;
    }
    fs::rename(fresh, dir).with_context(|| format!("cannot make {}", dir.display()))
}

/// The newest version of a series whose image and headers can both be had.
fn newest(series: &str, flavour: &str, arch: &str) -> Result<String> {
    let prefix = "linux-headers-";
    let mut versions: Vec<String> = apt::names(&format!("{prefix}{series}."))?
        .iter()
        .filter_map(|name| {
            name.strip_prefix(prefix)?
                .strip_suffix(flavour)?
                .strip_suffix('-')
        })
        // "6.12.1+deb12-rt" is what is left of another flavour.
        .filter(|version| {
            version
                .split('-')
                .all(|part| part.starts_with(char::is_numeric))
        })
        .map(str::to_owned)
        .collect();
    versions.sort_by_key(|version| numbers(version));
    let available = |version: &&String| {
        ["headers", "image"]
            .iter()
            .all(|kind| apt::exists(&format!("linux-{kind}-{version}-{flavour}:{arch}")))
    };
    let found = versions.iter().rev().find(available).cloned();
    found.with_context(|| format!("Debian's kernel {series} {flavour} cannot be had"))
}

fn numbers(version: &str) -> Vec<u64> {
    version
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|part| part.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_by_number() {
        assert!(numbers("6.12.117+deb12") > numbers("6.12.95+deb12"));
        assert!(numbers("6.12.90+deb12.1") > numbers("6.12.90+deb12"));
        assert!(numbers("6.1.0-56") > numbers("6.1.0-9"));
    }

    #[test]
    fn an_unknown_kernel_is_refused_with_the_names_there_are() {
        let text = named("7.0").unwrap_err().to_string();
        assert!(
            text.contains("7.0") && text.contains("6.12-rt-arm64"),
            "{text}"
        );
    }
}
