// SPDX-License-Identifier: GPL-2.0-only
//! Debian's packages: installed on this machine, or only downloaded and unpacked into a folder.
//!
//! Kernels, their headers and packages for another architecture are never installed. The mirror is
//! the one in the machine's own apt sources, also for the backports suite that is added for QEMU.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::run;

const BACKPORTS: &str = "/etc/apt/sources.list.d/oobkit-backports.list";
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Which of these packages are not installed.
pub(crate) fn missing<'a>(packages: &[&'a str]) -> Result<Vec<&'a str>> {
    let mut query = Command::new("dpkg-query");
    query.args([
        "--show",
        "--showformat",
        "${binary:Package} ${db:Status-Status}\n",
    ]);
    let known = run::output(&mut query).context("this machine does not run Debian")?;
    let installed = |package: &str| {
        known.lines().any(|line| {
            line.split_once(' ').is_some_and(|(name, status)| {
                status == "installed" && name.split(':').next() == Some(package)
            })
        })
    };
    Ok(packages
        .iter()
        .copied()
        .filter(|package| !installed(package))
        .collect())
}

/// The installed version of a package, if it is installed.
pub(crate) fn installed_version(package: &str) -> Option<String> {
    let mut query = Command::new("dpkg-query");
    query.args([
        "--show",
        "--showformat",
        "${db:Status-Status} ${Version}\n",
        package,
    ]);
    let text = run::output(&mut query).ok()?;
    text.lines()
        .find_map(|line| line.strip_prefix("installed "))
        .map(str::to_owned)
}

/// Whether an installed package is at least of this version.
pub(crate) fn is_at_least(package: &str, version: &str) -> bool {
    installed_version(package).is_some_and(|have| {
        run::succeeds(Command::new("dpkg").args(["--compare-versions", &have, "ge", version]))
    })
}

/// Whether this process may install packages.
pub(crate) fn is_root() -> Result<bool> {
    Ok(run::output(Command::new("id").arg("-u"))?.trim() == "0")
}

/// Fetches the package lists.
pub(crate) fn update() -> Result<()> {
    run::output(apt_get_command().arg("update"))
        .map(drop)
        .context("cannot fetch the package lists")
}

/// Installs packages, from `suite` when one is named.
pub(crate) fn install(packages: &[&str], suite: Option<&str>) -> Result<()> {
    let mut cmd = apt_get_command();
    cmd.args(["install", "--yes", "--no-install-recommends"]);
    if let Some(suite) = suite {
        cmd.args(["--target-release", suite]);
    }
    cmd.args(packages).env("DEBIAN_FRONTEND", "noninteractive");
    run::output(&mut cmd)
        .map(drop)
        .with_context(|| format!("packages that apt cannot find: {}", packages.join(" ")))
}

/// Makes the backports suite known to apt; true when it was not and the lists must be fetched.
pub(crate) fn add_backports(suite: &str) -> Result<bool> {
    if targets()?.iter().any(|target| target.suite == suite) {
        return Ok(false);
    }
    let main = suite.trim_end_matches("-backports");
    let mirror = targets()?
        .into_iter()
        .find(|target| target.suite == main && target.component == "main")
        .with_context(|| format!("apt's sources name no mirror for {main} main"))?;
    let signed = if Path::new(KEYRING).exists() {
        format!("[signed-by={KEYRING}] ")
    } else {
        String::new()
    };
    fs::write(
        BACKPORTS,
        format!("deb {signed}{} {suite} main\n", mirror.uri),
    )
    .with_context(|| format!("cannot write {BACKPORTS}"))?;
    Ok(true)
}

/// Whether apt knows the packages of this architecture.
pub(crate) fn knows_architecture(arch: &str) -> Result<bool> {
    let native = run::output(Command::new("dpkg").arg("--print-architecture"))?;
    let known = run::output(Command::new("dpkg").arg("--print-foreign-architectures"))?;
    Ok(native.trim() == arch || known.lines().any(|line| line == arch))
}

/// Adds a second architecture to those that apt knows.
pub(crate) fn add_architecture(arch: &str) -> Result<()> {
    run::output(Command::new("dpkg").args(["--add-architecture", arch])).map(drop)
}

/// Whether apt can download this package (`name`, `name:arch` or `name=version`).
pub(crate) fn exists(package: &str) -> bool {
    run::succeeds(Command::new("apt-cache").args(["show", "--no-all-versions", package]))
}

/// The version of this package that apt would download, where its lists have it.
pub(crate) fn candidate(package: &str) -> Option<String> {
    let mut query = Command::new("apt-cache");
    query.args(["show", "--no-all-versions", package]);
    let text = run::output(&mut query).ok()?;
    let version = |line: &str| line.strip_prefix("Version: ").map(str::to_owned);
    text.lines().find_map(version)
}

/// The names of all packages that begin with `prefix`.
pub(crate) fn names(prefix: &str) -> Result<Vec<String>> {
    let text = run::output(Command::new("apt-cache").args(["pkgnames", prefix]))?;
    Ok(text.lines().map(str::to_owned).collect())
}

/// What a package depends on, as plain names.
pub(crate) fn depends(package: &str) -> Result<Vec<String>> {
    let text = run::output(Command::new("apt-cache").args(["depends", package]))?;
    let plain = |line: &str| {
        let (_, name) = line.split_once("Depends: ")?;
        let name = name.trim_matches(['<', '>']);
        Some(name.split(':').next().unwrap_or(name).to_owned())
    };
    Ok(text.lines().filter_map(plain).collect())
}

/// Downloads packages and unpacks them into `root`, as if they were installed there.
pub(crate) fn unpack(packages: &[String], root: &Path) -> Result<()> {
    let debs = root.with_extension("debs");
    fs::create_dir_all(&debs)?;
    fs::create_dir_all(root)?;
    let mut cmd = apt_get_command();
    // Without its sandbox apt may write into a folder that only this user can enter.
    cmd.args(["-o", "APT::Sandbox::User=root", "download"])
        .args(packages)
        .current_dir(&debs);
    run::output(&mut cmd)
        .with_context(|| format!("packages that apt cannot find: {}", packages.join(" ")))?;
    for entry in fs::read_dir(&debs)? {
        run::output(
            Command::new("dpkg-deb")
                .arg("--extract")
                .arg(entry?.path())
                .arg(root),
        )?;
    }
    fs::remove_dir_all(&debs)?;
    Ok(())
}

struct Target {
    uri: String,
    suite: String,
    component: String,
}

fn targets() -> Result<Vec<Target>> {
    let mut cmd = Command::new("apt-get");
    cmd.args([
        "indextargets",
        "--format",
        "$(REPO_URI) $(RELEASE) $(COMPONENT)",
    ]);
    cmd.arg("Created-By: Packages");
    let text = run::output(&mut cmd)?;
    let parse = |line: &str| {
        let mut words = line.split(' ').map(str::to_owned);
        Some(Target {
            uri: words.next()?,
            suite: words.next()?,
            component: words.next()?,
        })
    };
    Ok(text.lines().filter_map(parse).collect())
}

fn apt_get_command() -> Command {
    let mut cmd = Command::new("apt-get");
    cmd.args([
        "--quiet",
        "-o",
        "DPkg::Lock::Timeout=600",
        "-o",
        "Acquire::Retries=3",
    ]);
    cmd
}
