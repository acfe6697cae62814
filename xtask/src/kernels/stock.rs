// SPDX-License-Identifier: GPL-2.0-only
//! Debian's own kernels, and how they are unpacked.
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
//! The headers packages find each other by relative links, except for one line of their Makefile,
//! which is rewritten. The tools in an arm64 headers package are arm64 programs, so the same
//! package for this machine replaces them.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::kernel::{Arch, Kernel, Source};
use crate::setup::{apt, packages};
use crate::{paths, run};

/// The stock kernels, one in each line.
pub(super) const KERNELS: [Kernel; 7] = [
    stock("6.12-rt-amd64", Arch::X86_64, "6.12", "rt-amd64"),
    stock("6.12-amd64", Arch::X86_64, "6.12", "amd64"),
    stock("6.1-rt-amd64", Arch::X86_64, "6.1", "rt-amd64"),
    stock("6.12-rt-arm64", Arch::Arm64, "6.12", "rt-arm64"),
    stock("6.12-arm64", Arch::Arm64, "6.12", "arm64"),
    stock("6.1-rt-arm64", Arch::Arm64, "6.1", "rt-arm64"),
    stock("6.1-amd64", Arch::X86_64, "6.1", "amd64"),
];

const fn stock(
    name: &'static str,
    arch: Arch,
    series: &'static str,
    flavour: &'static str,
) -> Kernel {
    let source = Source::Stock { series, flavour };
    Kernel { name, arch, source }
}

/// Downloads and unpacks Debian's kernel of this series and flavour.
pub(crate) fn unpack(kernel: &Kernel, series: &str, flavour: &str) -> Result<()> {
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
        // The link is absolute and leads into this machine's /usr/src, which has nothing for this
        // kernel.
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
    paths::replace(&dir, &fresh)
}

/// The newest version of a series for which Debian has both image and headers.
fn newest(series: &str, flavour: &str, arch: &str) -> Result<String> {
    let prefix = "linux-headers-";
    let mut versions: Vec<String> = apt::names(&format!("{prefix}{series}."))?
        .iter()
        .filter_map(|name| {
            name.strip_prefix(prefix)?
                .strip_suffix(flavour)?
                .strip_suffix('-')
        })
        // "6.12.1+deb12-rt" is the rest of the name of another flavour.
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
    found.with_context(|| format!("apt does not find Debian's kernel {series} {flavour}"))
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
}
