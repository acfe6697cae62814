// SPDX-License-Identifier: GPL-2.0-only

//! What the kit's modules promise, shown in a running kernel.
//!
//! ```text
//!   guest-tests --list        the promises of this board, in order
//!   guest-tests [--only TEXT] each one in a process of its own: ok NAME | FAIL NAME: why | not applicable NAME: why
//!                          N passed, N failed                     status 1 where one failed
//! ```
//!
//! It runs as root inside a guest into which the modules have been loaded, and changes the whole machine: it kills,
//! unbinds, unloads. Tests are in the file of their theme; `support` is what they are written with.

mod attach;
mod failsafe;
mod faults;
mod flash;
mod frames;
mod fuzz;
mod gone;
mod inband;
mod life;
mod list;
mod memory;
mod modules;
mod overlay;
mod owner;
mod refused_pointers;
mod refused_run;
mod refused_setup;
mod refused_trigger;
mod runner;
mod stage_evl;
mod stage_files;
mod stage_interrupt;
mod stage_kthread;
mod stage_lock;
mod stage_mutex;
mod stage_pool;
mod stage_program32;
mod stage_relay;
mod stage_threads;
mod stage_timer;
mod stage_work;
mod support;
mod trace;
mod triggers;

use clap::Parser;
use std::process::ExitCode;
use support::board::{Board, lacks};

/// A promise.
pub(crate) struct Test {
    /// What is promised.
    name: &'static str,
    on: On,
    run: fn(&Guest) -> anyhow::Result<()>,
}

/// Where a promise can be tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum On {
    /// Wherever the modules load.
    Any,
    /// Wherever the shim is the core.
    Shim,
    /// Wherever software can drive an interrupt line.
    DrivenLine,
    /// A PC, which has a printer port and its serial lines.
    PrinterPort,
    /// Wherever EVL is the core.
    Evl,
    /// Any board with an SPI bus in the kit's hands, where the shim is the core.
    ShimSpi,
    /// Any board with an SPI bus in the kit's hands.
    Spi,
    /// The virtual board.
    Vboard,
    /// QEMU's raspi3b with a flash behind SPI0.
    Raspi3b,
    /// QEMU's raspi3b with the overlay for silicon, and nothing else.
    Overlay,
    /// Any board with an SPI bus in the kit's hands, on a kernel that runs programs of 32 bits.
    Compat,
    /// The virtual board, on a kernel that can fail allocations on demand.
    FailingMemory,
}

/// What a test is told about the machine that it runs on.
pub(crate) struct Guest {
    pub(crate) board: Board,
    /// Every count in full.
    pub(crate) long: bool,
}

impl Guest {
    /// `short`, or `long` where every count is to be in full.
    pub(crate) const fn count(&self, short: u32, long: u32) -> u32 {
        if self.long { long } else { short }
    }
}

/// Every promise, in the order in which they are tested. The flash on raspi3b answers commands until it streams its
/// content, which nothing ends: so that comes last. No test before it sends anything but zeroes there, which are no command.
fn tests() -> Vec<&'static Test> {
    let themes: [&[Test]; 32] = [
        attach::TESTS,
        stage_threads::TESTS,
        stage_files::TESTS,
        stage_program32::TESTS,
        stage_evl::TESTS,
        stage_pool::TESTS,
        stage_relay::TESTS,
        stage_lock::TESTS,
        stage_mutex::TESTS,
        stage_kthread::TESTS,
        stage_work::TESTS,
        stage_timer::TESTS,
        stage_interrupt::TESTS,
        life::TESTS,
        owner::TESTS,
        refused_setup::TESTS,
        refused_trigger::TESTS,
        refused_pointers::TESTS,
        refused_run::TESTS,
        frames::TESTS,
        list::TESTS,
        triggers::TESTS,
        faults::TESTS,
        failsafe::TESTS,
        trace::TESTS,
        inband::TESTS,
        gone::TESTS,
        modules::TESTS,
        overlay::TESTS,
        memory::TESTS,
        flash::TESTS,
        fuzz::TESTS,
    ];
    themes.into_iter().flatten().collect()
}

#[derive(Parser)]
#[command(about = "What the kit's modules promise, shown in a running kernel")]
struct Arguments {
    /// Name the tests of this board, and run none
    #[arg(long)]
    list: bool,
    /// Only those whose name holds this text
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Every count in full
    #[arg(long)]
    long: bool,
    /// The board, where it is not the one that this machine seems to have
    #[arg(long)]
    board: Option<Board>,
    /// Runs the one test of this name here, in this process
    #[arg(long, hide = true)]
    alone: Option<String>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let guest = Guest {
        board: arguments.board.unwrap_or_else(Board::detect),
        long: arguments.long,
    };
    let mut tests = tests();
    tests.retain(|test| guest.board.has(test.on));
    let all = tests.clone();
    tests.retain(|test| lacks(test.on).is_none());
    if let Some(name) = &arguments.alone {
        return runner::alone(&tests, name, &guest);
    }
    let is_asked = |test: &&Test| match &arguments.only {
        Some(text) => test.name.contains(text.as_str()),
        None => true,
    };
    tests.retain(is_asked);
    if arguments.list {
        for test in &tests {
            println!("{}", test.name);
        }
        return ExitCode::SUCCESS;
    }
    for test in all.into_iter().filter(is_asked) {
        if let Some(reason) = lacks(test.on) {
            println!("not applicable {}: {reason}", test.name);
        }
    }
    runner::run(&tests, &guest)
}
