// SPDX-License-Identifier: GPL-2.0-only
//! The workshop: set-up, virtual machines, demo, tests, benchmarks.

mod kit;
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

use setup::Need;
use setup::kernel::{self, Arch, KERNELS, Source};

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
    /// Exits with the command's status; with 124 where the guest hung, 125 where its kernel reported anything about itself
    /// (WARNING, BUG, panic), 126 where the emulator ended too early, and 130 when told to stop.
    Vm(VmArgs),
    /// Show the control loop at work, out of band and in-band
    Demo,
    /// Run every test
    Test {
        /// With every count in full
        #[arg(long)]
        long: bool,
    },
    /// Measure, and write target/bench/NAME.json
    Bench {
        /// What to measure
        name: String,
    },
    /// Remove what was built for guests and what they left
    Clean {
        /// The cache too: kernels and all else that was downloaded
        #[arg(long)]
        cache: bool,
    },
}

#[derive(Args)]
struct VmArgs {
    /// The machine
    machine: vm::machine::Name,
    /// The kernel's name in the cache
    #[arg(long)]
    kernel: Option<String>,
    /// Count instructions: each is a nanosecond of guest time
    #[arg(long)]
    icount: bool,
    /// Processors
    #[arg(long)]
    cpus: Option<u32>,
    /// A file or folder to be added to the guest's root
    #[arg(long, value_name = "PATH")]
    add: Vec<PathBuf>,
    /// An argument for the emulator
    #[arg(long, value_name = "ARG", allow_hyphen_values = true)]
    qemu: Vec<String>,
    /// Seconds after which the guest counts as hung
    #[arg(long, value_name = "S", default_value_t = 120)]
    timeout: u64,
    /// An argument for the kernel
    #[arg(long, value_name = "KERNEL_ARG")]
    append: Vec<String>,
    /// What to run, with its arguments
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
            for module in kit::modules(kernel::named(&kernel)?)?.modules {
                println!("{}", module.display());
            }
        }
        Task::Vm(args) => return vm(args),
        Task::Demo => return Ok(status(steps::demo::demo()?)),
        Task::Test { long } => return Ok(status(steps::test(long))),
        Task::Bench { name } => return Ok(status(steps::bench::bench(&name)?)),
        Task::Clean { cache } => clean(cache)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn status(is_well: bool) -> ExitCode {
    ExitCode::from(u8::from(!is_well))
}

/// All but the debug kernel, which is built when something asks for it.
fn set_up() -> Result<()> {
    let mut needs = vec![Need::Build, Need::Lint, Need::Qemu];
    for arch in [Arch::X86_64, Arch::Arm64] {
        needs.extend([Need::Busybox(arch), Need::RustStd(arch)]);
    }
    let stock = KERNELS
        .iter()
        .filter(|kernel| matches!(kernel.source, Source::Stock { .. }));
    needs.extend(stock.map(Need::Kernel));
    setup::ensure(&needs)
}

fn vm(args: VmArgs) -> Result<ExitCode> {
    let machine = args.machine.machine();
    let mut job = vm::Job::new(machine, args.kernel.as_deref(), args.command)?;
    job.icount = args.icount;
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
