// SPDX-License-Identifier: GPL-2.0-only
//! The workshop: set-up, virtual machines, demo, tests, benchmarks.

mod bench;
mod demo;
mod kernels;
mod kit;
mod machines;
mod paths;
mod run;
mod setup;
mod steps;
mod vm;

use std::fs;
use std::io::stdout;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};

use kernels::{Arch, Source};
use kit::modules;
use setup::Need;
use steps::Mode;
use vm::Clock;

#[derive(Parser)]
#[command(bin_name = "cargo xtask", about = "The workshop of oobkit")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Install, download and unpack what the other commands need
    Setup,
    /// Build the kit's modules for a kernel
    Modules {
        /// The kernel's name in the cache
        #[arg(long)]
        kernel: String,
    },
    /// Run a command in a virtual machine with the kit's modules loaded
    ///
    /// Exits with the command's status; with 124 if the guest hung, 125 if its kernel reported
    /// anything about itself (WARNING, BUG, panic), 126 if the emulator ended before the command,
    /// 130 if told to stop.
    Vm(VmArgs),
    /// Show the control loop at work, out of band and in-band
    Demo,
    /// Run every test, or some
    Test(TestArgs),
    /// Measure, check the bars, and write target/bench/NAME.json
    Bench {
        /// What to measure
        name: String,
    },
    /// Remove the builds for guests, and the files that guests left
    Clean {
        /// The cache too: kernels and all other downloads
        #[arg(long)]
        cache: bool,
    },
}

#[derive(Args)]
struct TestArgs {
    /// Print the name of each step and what it shows, and run none
    #[arg(long)]
    list: bool,
    /// Run only the steps whose names contain this text; may be repeated
    #[arg(long, value_name = "STEP")]
    only: Vec<String>,
    /// Run only the promises whose names contain this text, in guests; may be repeated
    #[arg(long, value_name = "TEXT")]
    promise: Vec<String>,
    /// Every count in full, and the steps that otherwise do not run. This takes hours: run it in
    /// parts by --only
    #[arg(long)]
    long: bool,
}

#[derive(Args)]
struct VmArgs {
    /// The machine to emulate
    machine: machines::Name,
    /// The kernel's name in the cache
    #[arg(long)]
    kernel: Option<String>,
    /// One processor, as benchmarks count its instructions
    #[arg(long, conflicts_with = "side_by_side")]
    icount: bool,
    /// Run the processors side by side, in the host's time. By default they take turns, and each
    /// instruction takes a nanosecond of guest time
    #[arg(long)]
    side_by_side: bool,
    /// Do not build: take modules and programs as they were last built
    #[arg(long)]
    as_built: bool,
    /// The number of processors
    #[arg(long)]
    cpus: Option<u32>,
    /// Add this file or folder to the guest's root
    #[arg(long, value_name = "PATH")]
    add: Vec<PathBuf>,
    /// Pass this argument to the emulator
    #[arg(long, value_name = "ARG", allow_hyphen_values = true)]
    qemu: Vec<String>,
    /// Seconds until the guest counts as hung
    #[arg(long, value_name = "S", default_value_t = 120)]
    timeout: u64,
    /// Pass this argument to the kernel
    #[arg(long, value_name = "KERNEL_ARG")]
    append: Vec<String>,
    /// The command to run, with its arguments
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

fn main() -> ExitCode {
    match task(Cli::parse().task) {
        Ok(status) => status,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn task(task: Task) -> Result<ExitCode> {
    match task {
        Task::Setup => set_up()?,
        Task::Modules { kernel } => {
            for module in modules::modules(kernels::named(&kernel)?)?.modules {
                println!("{}", module.display());
            }
        }
        Task::Vm(args) => return vm(args),
        Task::Demo => return Ok(status(demo::demo()?)),
        Task::Test(args) if args.list => steps::list()?,
        Task::Test(args) => {
            let mode = Mode {
                long: args.long,
                promises: args.promise,
            };
            return Ok(status(steps::test(&mode, &args.only)?));
        }
        Task::Bench { name } => return Ok(status(bench::bench(&name)?)),
        Task::Clean { cache } => clean(cache)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn status(is_well: bool) -> ExitCode {
    ExitCode::from(u8::from(!is_well))
}

/// Everything except the debug kernel, which is built when a command needs it.
fn set_up() -> Result<()> {
    let mut needs = vec![Need::Build, Need::Lint, Need::Qemu];
    for arch in [Arch::X86_64, Arch::Arm64] {
        needs.extend([Need::Busybox(arch), Need::RustStd(arch)]);
    }
    let stock = kernels::all().filter(|kernel| matches!(kernel.source, Source::Stock { .. }));
    needs.extend(stock.map(Need::Kernel));
    setup::ensure(&needs)
}

fn vm(args: VmArgs) -> Result<ExitCode> {
    let machine = args.machine.machine();
    let mut job = vm::Job::new(machine, args.kernel.as_deref(), args.command)?;
    job.clock = match (args.icount, args.side_by_side) {
        (true, _) => Clock::Counted,
        (_, true) => Clock::SideBySide,
        _ => Clock::Turns,
    };
    job.as_built = args.as_built;
    job.cpus = args.cpus;
    job.add = args.add;
    job.qemu = args.qemu;
    job.append = args.append;
    job.timeout = Duration::from_secs(args.timeout);
    let outcome = job.run(&mut stdout())?;
    if let Some(trouble) = outcome.trouble() {
        eprintln!("--- the kernel log's end ---\n{}\n---", outcome.log);
        eprintln!("xtask: {}: {trouble}", machine.name);
    }
    Ok(ExitCode::from(
        u8::try_from(outcome.exit_status()).unwrap_or(u8::MAX),
    ))
}

fn clean(cache: bool) -> Result<()> {
    let mut folders = ["vm", "kernel", "guest"]
        .map(|name| paths::target().join(name))
        .to_vec();
    if cache {
        folders.push(paths::cache()?);
    }
    for folder in folders.iter().filter(|folder| folder.exists()) {
        fs::remove_dir_all(folder)?;
    }
    Ok(())
}
