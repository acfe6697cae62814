// SPDX-License-Identifier: GPL-2.0-only
//! The workshop: set-up, virtual machines, demo, tests, benchmarks.

mod paths;
mod run;
mod setup;

use anyhow::Result;
use clap::{Parser, Subcommand};

use setup::Need;
use setup::kernel::{Arch, KERNELS, Source};

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
}

fn main() -> Result<()> {
    match Cli::parse().task {
        Task::Setup => {
            let mut needs = vec![Need::Build, Need::Lint, Need::Qemu];
            for arch in [Arch::X86_64, Arch::Arm64] {
                needs.extend([Need::Busybox(arch), Need::RustStd(arch)]);
            }
            let stock = KERNELS.iter().filter(|k| matches!(k.source, Source::Stock { .. }));
            needs.extend(stock.map(Need::Kernel));
            setup::ensure(&needs)
        }
    }
}
