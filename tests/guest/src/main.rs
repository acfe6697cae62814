// SPDX-License-Identifier: GPL-2.0-only

//! What the kit's modules promise, tested in a running kernel.
//!
//! ```text
//!   guest-tests --list                        the promises of this board: name | theme | smoke
//!   guest-tests [--smoke] [--only TEXT]...    each promise in a process of its own:
//!                                             ok NAME (TIME, TIME busy) | FAIL NAME: WHY (TIME, TIME busy)
//!                                             not applicable NAME: WHY
//!                                             N passed, N failed           exit status 1 if one failed
//! ```
//!
//! The program runs as root inside a guest that has loaded the kit's modules. It changes the whole
//! machine: it kills processes, unbinds drivers and unloads modules. `themes/` has the tests,
//! `support/` the tools that they use.

mod runner;
mod support;
mod test;
mod themes;

use clap::Parser;
use std::path::Path;
use std::process::ExitCode;
use support::board::Board;
use test::{Guest, Test};

#[derive(Parser)]
#[command(about = "What the kit's modules promise, tested in a running kernel")]
struct Arguments {
    /// List the promises of this board and run none
    #[arg(long)]
    list: bool,
    /// Run one promise of each theme, and those that only one machine can keep
    #[arg(long)]
    smoke: bool,
    /// Run promises whose name contains this text; several texts add up
    #[arg(long, value_name = "TEXT")]
    only: Vec<String>,
    /// Run every count in full
    #[arg(long)]
    long: bool,
    /// Print the ten promises that took the most time
    #[arg(long)]
    slowest: bool,
    /// The board, if it is not the one that this machine seems to have
    #[arg(long)]
    board: Option<Board>,
    /// Run the one test of this name in this process
    #[arg(long, hide = true)]
    alone: Option<String>,
}

impl Arguments {
    fn selects(&self, test: &Test) -> bool {
        let is_named = self
            .only
            .iter()
            .any(|text| test.name.contains(text.as_str()));
        let is_in_list = !self.smoke || test.is_smoke || test.on.is_for_one_machine();
        (self.only.is_empty() || is_named) && is_in_list
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let guest = Guest {
        board: arguments.board.unwrap_or_else(Board::detect),
        long: arguments.long,
        is_debug_kernel: Path::new("/sys/kernel/debug/kmemleak").exists(),
    };
    let mut tests = themes::all();
    tests.retain(|test| test.on.is_for(guest.board));
    if let Some(name) = &arguments.alone {
        return runner::alone(&tests, name, &guest);
    }
    tests.retain(|test| arguments.selects(test));
    let (able, unable): (Vec<_>, Vec<_>) = tests
        .into_iter()
        .partition(|test| test.on.obstacle().is_none());
    if arguments.list {
        for test in &able {
            let smoke = if test.is_smoke { "smoke" } else { "-" };
            println!("{} | {} | {smoke}", test.name, test.theme());
        }
        return ExitCode::SUCCESS;
    }
    for test in unable {
        let reason = test.on.obstacle().unwrap_or_default();
        println!("not applicable {}: {reason}", test.name);
    }
    runner::run(&able, &guest, arguments.slowest)
}
