// SPDX-License-Identifier: GPL-2.0-only
//! The steps that boot guests and run the promises of `guest-tests` there.
//!
//! ```text
//!   list     promises                                       without --long    with --long
//!   Full     all                                            all               all, every count in full
//!   Smoke    one of each theme, and the machine's own       these             all, every count in full
//! ```
//!
//! A guest's processors take turns, and guest time does not depend on the host ([`Clock::Turns`]),
//! so two guests run at a time on a host with two processors. Turns hide races. With `--long`, one
//! guest of each architecture therefore also runs with its processors side by side.

use std::time::Duration;

use anyhow::Result;

use super::count::Count;
use super::modules;
use super::step::{Log, Mode, Step, Tool};
use crate::kernels::{self, Kernel};
use crate::machines::Name;
use crate::paths;
use crate::setup::Need;
use crate::vm::{Clock, Job};

#[derive(Clone, Copy, PartialEq, Eq)]
enum List {
    Full,
    Smoke,
}

/// A guest, and the list of promises that runs in it.
#[derive(Clone, Copy)]
struct Guest {
    machine: Name,
    kernel: &'static str,
    /// More words for the kernel's command line.
    append: &'static [&'static str],
    list: List,
    clock: Clock,
    is_long: bool,
}

const fn guest(machine: Name, kernel: &'static str, list: List) -> Guest {
    Guest {
        machine,
        kernel,
        append: &[],
        list,
        clock: Clock::Turns,
        is_long: false,
    }
}

const fn side_by_side(machine: Name, kernel: &'static str) -> Guest {
    Guest {
        clock: Clock::SideBySide,
        is_long: true,
        ..guest(machine, kernel, List::Full)
    }
}

/// The longest guests come first, so that the run does not end with a wait for one guest.
const GUESTS: [Guest; 10] = [
    guest(Name::X86_64, "debug-amd64", List::Full),
    guest(Name::X86_64, "6.12-rt-amd64", List::Full),
    guest(Name::Raspi3b, "6.12-rt-arm64", List::Smoke),
    guest(Name::Imx8mp, "6.12-rt-arm64", List::Smoke),
    Guest {
        // Debian's kernel without PREEMPT_RT is fully preemptible only with this argument.
        append: &["preempt=full"],
        ..guest(Name::X86_64, "6.12-amd64", List::Smoke)
    },
    guest(Name::X86_64, "6.1-rt-amd64", List::Smoke),
    guest(Name::Raspi3bOverlay, "6.12-rt-arm64", List::Full),
    Guest {
        is_long: true,
        ..guest(Name::Raspi3b, "debug-arm64", List::Full)
    },
    side_by_side(Name::X86_64, "6.12-rt-amd64"),
    side_by_side(Name::Raspi3b, "6.12-rt-arm64"),
];

/// Kernels for which `--long` builds modules, because the kit supports any 6.1 or 6.12 headers
/// package. Nothing runs on them.
const LONG_BUILDS: [&str; 3] = ["6.12-arm64", "6.1-rt-arm64", "6.1-amd64"];

/// In the host's time. Only a guest that hangs takes longer, even on a busy host.
const TIMEOUT: Duration = Duration::from_secs(3600);
const LONG_TIMEOUT: Duration = Duration::from_secs(7200);

/// The steps that run guests.
pub(super) fn steps() -> Vec<Step> {
    GUESTS.into_iter().map(Guest::step).collect()
}

/// The steps that build modules: for the kernels of the guests, in the order in which guests need
/// them, and for the kernels above.
pub(super) fn module_steps() -> Result<Vec<Step>> {
    let mut steps: Vec<Step> = Vec::new();
    for guest in GUESTS {
        let step = modules::step(kernels::named(guest.kernel)?);
        if steps.iter().all(|known| known.name != step.name) {
            steps.push(if guest.is_long { step.long() } else { step });
        }
    }
    for kernel in LONG_BUILDS {
        steps.push(modules::step(kernels::named(kernel)?).long());
    }
    Ok(steps)
}

impl Guest {
    fn name(&self) -> String {
        let mut words = vec!["guest", self.machine.machine().name, self.kernel];
        words.extend(self.append);
        if self.clock == Clock::SideBySide {
            words.push("side by side");
        }
        words.join(" ")
    }

    fn step(self) -> Step {
        let about = match (self.list, self.clock) {
            (_, Clock::SideBySide) => "every promise, with the guest's processors side by side",
            (List::Full, _) => "every promise; with --long every count in full",
            (List::Smoke, _) => "one promise of each theme, and the machine's own; with --long all",
        };
        let mut step = Step::new(self.name(), about, move |mode, log| self.run(mode, log))
            .after(modules::name(self.kernel))
            .needs(&[
                Need::Build,
                Need::Qemu,
                Need::Busybox(self.machine.machine().arch),
            ]);
        step.needs.extend(self.kernel().map(Need::Kernel));
        step.is_guest = true;
        step.is_long = self.is_long;
        if self.clock == Clock::SideBySide {
            step = step.uses(Tool::Machine);
        }
        step
    }

    fn kernel(&self) -> Option<&'static Kernel> {
        kernels::named(self.kernel).ok()
    }

    fn run(&self, mode: &Mode, log: &mut Log) -> Result<Count> {
        let mut command = vec!["guest-tests".to_owned()];
        if mode.long {
            command.push("--long".to_owned());
        }
        if !mode.promises.is_empty() {
            let options = mode.promises.iter().cloned();
            command.extend(options.flat_map(|text| ["--only".to_owned(), text]));
        } else if self.list == List::Smoke && !mode.long {
            command.push("--smoke".to_owned());
        }
        let mut job = Job::new(self.machine.machine(), Some(self.kernel), command)?;
        job.clock = self.clock;
        job.append = self.append.iter().copied().map(str::to_owned).collect();
        job.timeout = if mode.long { LONG_TIMEOUT } else { TIMEOUT };
        job.results = paths::target()
            .join("vm/test")
            .join(self.name().replace(' ', "-"));
        let mut text = Vec::new();
        let outcome = job.run(&mut text)?;
        let text = String::from_utf8_lossy(&text);
        log.line(&text);
        let mut count = Count::closing(&text).unwrap_or_default();
        if let Some(trouble) = outcome.trouble() {
            log.line(trouble);
            count.add(Count::FAIL);
        } else if outcome.exit_status() != 0 && count.failed == 0 {
            log.line(format_args!(
                "guest-tests ended with status {}",
                outcome.exit_status()
            ));
            count.add(Count::FAIL);
        }
        if count.failed > 0 {
            log.line(format_args!(
                "--- the guest's log ends so:\n{}\n---",
                outcome.log
            ));
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_guests_have_one_name() {
        let mut names: Vec<_> = steps().into_iter().map(|step| step.name).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), GUESTS.len());
    }

    #[test]
    fn every_guest_has_a_kernel_for_its_machine() {
        for guest in GUESTS {
            let kernel = kernels::named(guest.kernel).unwrap();
            assert_eq!(kernel.arch, guest.machine.machine().arch);
        }
    }
}
