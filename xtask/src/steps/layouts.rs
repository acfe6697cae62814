// SPDX-License-Identifier: GPL-2.0-only
//! Checks that no module is built if Rust and the C compiler disagree on a structure.
//!
//! ```text
//!   bindings/layout.c --one fact changed--> target/layout.c --make LAYOUT=...--> one error, which names the structure
//! ```
//!
//! The step "modules" shows that everything is built if they agree.

use std::fs;

use anyhow::{Result, ensure};

use super::count::Count;
use super::step::{Log, Mode, Step, Tool};
use crate::kit::modules::layout_check;
use crate::setup::Need;
use crate::{kernels, paths};

/// Any kernel would do.
const KERNEL: &str = "6.12-rt-amd64";

/// A line of `layout.c`, its replacement, which makes the C compiler see another structure, and the
/// text that the error must contain.
const SPOILT: [[&str; 3]; 2] = [
    [
        "\tSIZE(miscdevice);\n",
        "struct larger { struct miscdevice was; long more; };\n\
         #define miscdevice larger\n\
         SIZE(miscdevice);\n\
         #undef miscdevice\n",
        "struct miscdevice: the C compiler gives it ",
    ],
    [
        "\tOFFSET(spi_transfer, len);\n",
        "#define len speed_hz\n\
         OFFSET(spi_transfer, len);\n\
         #undef len\n",
        "struct spi_transfer: the C compiler has len at ",
    ],
];

pub(super) fn step() -> Step {
    Step::new(
        "layouts",
        "no module is built where Rust and C disagree on a structure",
        check,
    )
    .needs(&[Need::Build])
    .uses(Tool::KernelBuild)
}

fn check(_: &Mode, log: &mut Log) -> Result<Count> {
    let kernel = kernels::named(KERNEL)?;
    let good = fs::read_to_string(paths::repo().join("bindings/layout.c"))?;
    let layout = paths::target().join("layout.c");
    let mut count = Count::default();
    for [from, to, named] in SPOILT {
        ensure!(good.contains(from), "layout.c has no line {from}");
        fs::write(&layout, good.replace(from, to))?;
        let said = layout_check(kernel, &layout)?.unwrap_or_default();
        // Lines that follow an error say where it was found. The last line is Cargo's own.
        let errors: Vec<_> = said
            .lines()
            .filter(|line| line.starts_with("error["))
            .collect();
        match errors[..] {
            [error] if error.contains(named) => count.add(Count::PASS),
            _ => {
                log.line(format_args!("'{named}' is not what was said: {said}"));
                count.add(Count::FAIL);
            }
        }
    }
    Ok(count)
}
