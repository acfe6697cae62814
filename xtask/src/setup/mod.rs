// SPDX-License-Identifier: GPL-2.0-only
//! Set-up: installs, downloads or builds what the other subcommands need and do not find.
//!
//! ```text
//!   ensure([Need::Kernel(..), Need::Qemu, ..])
//!       which jobs are not done yet?  none: return at once
//!       lock the cache, look again, do them one by one with a progress bar
//! ```
//!
//! Each job makes its mark last and in one step. An interrupted set-up therefore continues where it
//! stopped, and a second one does nothing.

pub(crate) mod apt;
pub(crate) mod packages;
mod progress;

use std::env;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::kernels::{self, Arch, Kernel, Recipe, Source, debug, stock};
use crate::{paths, run};

use progress::Progress;

/// Something that a subcommand needs.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Need {
    /// Compilers for modules and for the guests' programs.
    Build,
    /// rustfmt and clippy.
    Lint,
    /// The emulators.
    Qemu,
    /// Valgrind, which counts a process's instructions.
    Valgrind,
    /// A kernel in the cache.
    Kernel(&'static Kernel),
    /// The guest's shell and tools.
    Busybox(Arch),
    /// Rust's library for the guests' programs.
    RustStd(Arch),
}

/// Makes sure that all of these exist.
pub(crate) fn ensure(needs: &[Need]) -> Result<()> {
    let jobs = pending(needs)?;
    if jobs.is_empty() {
        return Ok(());
    }
    packages::check_system()?;
    for_root(&jobs)?;
    let cache = paths::cache()?;
    fs::create_dir_all(&cache).with_context(|| format!("cannot make {}", cache.display()))?;
    let lock = File::create(cache.join("lock"))?;
    lock.lock().context("cannot lock the cache")?;
    // Another set-up may have done everything while this one waited.
    let jobs = pending(needs)?;
    let mut progress = Progress::new(jobs.iter().map(Job::seconds).sum());
    for job in &jobs {
        progress.job(&job.title(), job.seconds(), || job.run())?;
    }
    Ok(())
}

/// Fails for any user but root if something is missing that only root can install. The error names
/// all of it.
fn for_root(jobs: &[Job]) -> Result<()> {
    if apt::is_root()? {
        return Ok(());
    }
    let missing: Vec<String> = jobs.iter().filter_map(Job::for_root).collect();
    if !missing.is_empty() {
        bail!(
            "missing: {}; only root can install that: run `cargo xtask setup` once as root",
            missing.join("; ")
        );
    }
    Ok(())
}

/// One piece of the set-up.
enum Job {
    /// The package lists, including those of architectures that apt does not know yet.
    Lists(Vec<&'static str>),
    Install(Vec<&'static str>),
    Qemu,
    Stock {
        kernel: &'static Kernel,
        series: &'static str,
        flavour: &'static str,
    },
    Debug {
        kernel: &'static Kernel,
        recipe: &'static Recipe,
    },
    Busybox(Arch),
    RustStd(Arch),
}

fn pending(needs: &[Need]) -> Result<Vec<Job>> {
    let mut wanted: Vec<&'static str> = Vec::new();
    let mut later = Vec::new();
    let mut foreign = Vec::new();
    for need in needs {
        match *need {
            Need::Build => wanted.extend(packages::BUILD),
            // Always Debian's own: the Rust that builds the modules also lints them.
            Need::Lint => wanted.extend(packages::LINT),
            Need::Qemu if !packages::has_qemu() => later.push(Job::Qemu),
            Need::Qemu => {}
            Need::Valgrind => wanted.extend(packages::VALGRIND),
            Need::Kernel(kernel) if kernels::is_ready(kernel)? => {}
            Need::Kernel(kernel) => {
                wanted.extend(packages::UNPACK);
                if kernel.arch != Arch::X86_64 {
                    foreign.push(kernel.arch.debian());
                }
                later.push(match kernel.source {
                    Source::Stock { series, flavour } => Job::Stock {
                        kernel,
                        series,
                        flavour,
                    },
                    Source::Built(recipe) => {
                        wanted.extend(packages::BUILD.iter().chain(packages::KERNEL_BUILD));
                        Job::Debug { kernel, recipe }
                    }
                });
            }
            Need::Busybox(arch) if busybox(arch)?.exists() => {}
            Need::Busybox(arch) => {
                foreign.push(arch.debian());
                later.push(Job::Busybox(arch));
            }
            Need::RustStd(Arch::X86_64) => {}
            Need::RustStd(arch) => {
                if !rust_std(arch).is_ok_and(|dir| dir.exists()) {
                    foreign.push(arch.debian());
                    later.push(Job::RustStd(arch));
                }
            }
        }
    }
    wanted.sort_unstable();
    wanted.dedup();
    let missing = apt::missing(&wanted)?;
    let mut jobs = Vec::new();
    if !missing.is_empty() || !later.is_empty() {
        foreign.sort_unstable();
        foreign.dedup();
        let mut unknown = Vec::new();
        for arch in foreign {
            if !apt::knows_architecture(arch)? {
                unknown.push(arch);
            }
        }
        jobs.push(Job::Lists(unknown));
    }
    if !missing.is_empty() {
        jobs.push(Job::Install(missing));
    }
    jobs.extend(later);
    Ok(jobs)
}

impl Job {
    /// The approximate time it takes on 2 cores with a fast network.
    fn seconds(&self) -> u64 {
        match self {
            Self::Lists(_) => 5,
            Self::Install(packages) => u64::try_from(packages.len()).unwrap_or(0).saturating_mul(4),
            Self::Qemu => 30,
            Self::Stock { .. } => 12,
            Self::Debug { .. } => 500,
            Self::Busybox(_) => 2,
            Self::RustStd(_) => 4,
        }
    }

    fn title(&self) -> String {
        match self {
            Self::Lists(_) => "package lists".to_owned(),
            Self::Install(packages) => format!("packages {}", packages.join(" ")),
            Self::Qemu => format!("emulators {}", packages::QEMU.join(" ")),
            Self::Stock { kernel, .. } => format!("kernel {}", kernel.name),
            Self::Debug { kernel, .. } => format!("kernel {} (is built)", kernel.name),
            Self::Busybox(arch) => format!("busybox for {}", arch.debian()),
            Self::RustStd(arch) => format!("Rust's library for {}", arch.debian()),
        }
    }

    /// The part of it that only root can do.
    fn for_root(&self) -> Option<String> {
        match self {
            Self::Lists(unknown) if !unknown.is_empty() => {
                Some(format!("architecture {}", unknown.join(" ")))
            }
            Self::Install(_) | Self::Qemu => Some(self.title()),
            _ => None,
        }
    }

    fn run(&self) -> Result<()> {
        match self {
            Self::Lists(unknown) => {
                for arch in unknown {
                    apt::add_architecture(arch)?;
                }
                update_lists()
            }
            Self::Install(packages) => apt::install(packages, None),
            Self::Qemu => packages::install_qemu(),
            Self::Stock {
                kernel,
                series,
                flavour,
            } => stock::unpack(kernel, series, flavour),
            // The kernel may turn out to be current now that its compiler is installed.
            Self::Debug { kernel, .. } if kernels::is_ready(kernel)? => Ok(()),
            Self::Debug { kernel, recipe } => debug::build(kernel, recipe),
            Self::Busybox(arch) => unpack_into(
                &format!("busybox-static:{}", arch.debian()),
                busybox_dir(*arch)?,
            ),
            Self::RustStd(arch) => {
                let version = rust_version()?;
                let name = format!("libstd-rust-web-dev:{}={version}", arch.debian());
                unpack_into(&name, rust_std(*arch)?)
            }
        }
    }
}

/// Only root may fetch the lists. Other users take the lists that are there.
fn update_lists() -> Result<()> {
    if apt::is_root()? {
        apt::update()?;
    }
    Ok(())
}

fn unpack_into(package: &str, dir: PathBuf) -> Result<()> {
    let fresh = dir.with_file_name("new");
    if fresh.exists() {
        fs::remove_dir_all(&fresh)?;
    }
    apt::unpack(&[package.to_owned()], &fresh)?;
    paths::replace(&dir, &fresh)
}

fn busybox_dir(arch: Arch) -> Result<PathBuf> {
    Ok(paths::cache()?.join("busybox").join(arch.debian()))
}

/// The guest's busybox.
pub(crate) fn busybox(arch: Arch) -> Result<PathBuf> {
    Ok(busybox_dir(arch)?.join("bin/busybox"))
}

/// A folder that holds Rust's library for another architecture, under `usr`.
pub(crate) fn rust_std(arch: Arch) -> Result<PathBuf> {
    let name = format!("{}-{}", arch.debian(), rust_version()?);
    Ok(paths::cache()?.join("rust-std").join(name))
}

fn rust_version() -> Result<String> {
    apt::installed_version("rustc-web").context("rustc-web is not installed")
}

/// The Cargo that runs this program, in the repository.
pub(crate) fn cargo() -> Command {
    let mut cmd = Command::new(env::var_os("CARGO").unwrap_or("cargo".into()));
    cmd.current_dir(paths::repo());
    cmd
}

/// The same Cargo if it has rustfmt and clippy; otherwise Debian's, which the set-up has installed.
pub(crate) fn lint_cargo() -> Command {
    if has_lints() {
        return cargo();
    }
    let mut cmd = Command::new(packages::CARGO);
    let path = env::var("PATH").unwrap_or_default();
    cmd.env("PATH", format!("/usr/bin:{path}"))
        .env("RUSTC", packages::RUSTC);
    cmd.current_dir(paths::repo());
    cmd
}

/// Whether that Cargo has rustfmt and clippy.
fn has_lints() -> bool {
    ["fmt", "clippy"]
        .iter()
        .all(|tool| run::succeeds(cargo().args([tool, "--version"])))
}
