// SPDX-License-Identifier: GPL-2.0-only
//! The steps that boot guests.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;

use super::{Count, Report, built};
use crate::setup::kernel::{KERNELS, Kernel};
use crate::vm::Job;
use crate::vm::machine::Name;
use crate::{kit, paths};

/// A machine, its kernel, and more words for that one's command line.
type Guest = (Name, &'static str, &'static [&'static str]);

/// Where the list of VM tests runs. Debian's kernel without PREEMPT_RT preempts itself everywhere only where it is told to.
const GUESTS: &[Guest] = &[
    (Name::X86_64, "6.12-rt-amd64", &[]),
    (Name::X86_64, "6.12-amd64", &["preempt=full"]),
    (Name::X86_64, "6.1-rt-amd64", &[]),
    (Name::Raspi3b, "6.12-rt-arm64", &[]),
    (Name::Raspi3bOverlay, "6.12-rt-arm64", &[]),
    (Name::Imx8mp, "6.12-rt-arm64", &[]),
    (Name::X86_64, "debug-amd64", &[]),
];

/// Where it also runs when every count is in full.
const LONG_GUESTS: &[Guest] = &[(Name::Raspi3b, "debug-arm64", &[])];

/// What modules are also built for when every count is in full, since any 6.1 or 6.12 headers package shall do; nothing runs there.
const LONG_BUILDS: &[&str] = &["6.12-arm64", "6.1-rt-arm64", "6.1-amd64"];

fn guests(long: bool) -> impl Iterator<Item = &'static Guest> {
    let more: &[_] = if long { LONG_GUESTS } else { &[] };
    GUESTS.iter().chain(more)
}

/// The kernels that those guests run, and those that are only built for.
pub(super) fn kernels(long: bool) -> impl Iterator<Item = &'static Kernel> {
    let used = move |kernel: &&Kernel| {
        guests(long).any(|(_, name, _)| kernel.name == *name)
            || long && LONG_BUILDS.contains(&kernel.name)
    };
    KERNELS.iter().filter(used)
}

/// Every kernel's modules, built once and without a word of warning.
pub(super) fn modules(long: bool) -> Result<Count> {
    let mut count = Count::default();
    for kernel in kernels(long) {
        match kit::modules_anew(kernel) {
            Ok(built) if built.modules.is_empty() => {
                println!("{}: no module was built", kernel.name);
                count.add(Count::FAIL);
            }
            // It was shown as it came.
            Ok(built) if built.warning.is_some() => count.add(Count::FAIL),
            Ok(built) => count.add(as_hardened(kernel, &built.modules)?),
            Err(error) => {
                println!("{error:#}");
                count.add(Count::FAIL);
            }
        }
    }
    Ok(count)
}

/// Whether each of a kernel's modules is hardened as that kernel is, and cannot panic.
fn as_hardened(kernel: &Kernel, modules: &[PathBuf]) -> Result<Count> {
    let mut count = Count::PASS;
    for module in modules {
        let faults = built::faults(kernel, module)?;
        for fault in &faults {
            println!("{}: {fault}", module.display());
        }
        if !faults.is_empty() {
            count = Count::FAIL;
        }
    }
    Ok(count)
}

/// The lint list, as errors, over the kernel builds.
pub(super) fn lint() -> Result<Count> {
    let mut count = Count::default();
    for lint in &kit::LINTS {
        match kit::lint_modules(lint) {
            Ok(()) => count.add(Count::PASS),
            Err(error) => {
                println!("{}: {error:#}", lint.name);
                count.add(Count::FAIL);
            }
        }
    }
    Ok(count)
}

/// The list of VM tests, in each guest: one at a time, since several of the promises are about time, and a guest that shares
/// its processors with another one sees that.
pub(super) fn run_all(report: &mut Report, long: bool) {
    for guest in guests(long) {
        let (machine, kernel, append) = guest;
        let name = [&[machine.machine().name, kernel], *append]
            .concat()
            .join(" ");
        let mut text = Vec::new();
        report.step(&name, || guest_tests(guest, long, &mut text));
        let text = String::from_utf8_lossy(&text);
        println!("{text}");
        let failed = text.lines().filter(|line| line.starts_with("FAIL "));
        report
            .failures
            .extend(failed.map(|line| format!("{name}: {line}")));
    }
}

fn guest_tests(guest: &Guest, long: bool, text: &mut Vec<u8>) -> Result<Count> {
    let (machine, kernel, append) = guest;
    let mut command = vec!["guest-tests".to_owned()];
    if long {
        command.push("--long".to_owned());
    }
    let mut job = Job::new(machine.machine(), Some(kernel), command)?;
    job.append = append.iter().copied().map(str::to_owned).collect();
    job.timeout = Duration::from_secs(if long { 7200 } else { 2700 });
    job.results = paths::target()
        .join("vm/test")
        .join(format!("{}-{kernel}", job.machine.name));
    let outcome = job.run(text)?;
    let mut count = Count::closing(&String::from_utf8_lossy(text)).unwrap_or_default();
    if let Some(trouble) = outcome.trouble() {
        text.extend(format!("{}\n{trouble}\n", outcome.log).bytes());
        count.add(Count::FAIL);
    } else if outcome.exit_status() != 0 && count.failed == 0 {
        text.extend(format!("guest-tests ended with status {}\n", outcome.exit_status()).bytes());
        count.add(Count::FAIL);
    }
    Ok(count)
}
