// SPDX-License-Identifier: GPL-2.0-only
//! What was built, held against what it should be: the modules' own instructions and symbols.
//!
//! ```text
//!   x86_64  retpolines, return thunks, IBT       objtool, which says so while the modules are built: no word, no fault
//!           room before each function            each has its `__pfx_` symbol (CONFIG_PREFIX_SYMBOLS)
//!   arm64   return addresses are signed          no function saves x30 before its `paciasp` (CONFIG_ARM64_PTR_AUTH_KERNEL)
//!   both    out-of-band paths cannot panic       nothing of core::panicking was linked in
//! ```

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::run;
use crate::setup::kernel::{Arch, Kernel};

/// The one module that may panic: it is the machine, and panics when a test asks for that.
const MAY_PANIC: &str = "vboard.ko";

/// As it stands in every mangled name of that module of Rust's library.
const PANICKING: &str = "4core9panicking";

/// What is wrong with a kernel's module, a line each.
pub(super) fn faults(kernel: &Kernel, module: &Path) -> Result<Vec<String>> {
    let config = kernel.dir()?.join("build/include/config/auto.conf");
    let config = fs::read_to_string(&config).with_context(|| format!("no {}", config.display()))?;
    let is_set = |option: &str| config.lines().any(|line| line == format!("{option}=y"));
    let tool = |name: &str| Command::new(format!("{}-linux-gnu-{name}", kernel.arch.gnu()));
    let symbols = run::output(tool("nm").args(["--format", "posix"]).arg(module))?;
    let mut faults = Vec::new();
    if !module.ends_with(MAY_PANIC) {
        faults.extend(panicking(&symbols));
    }
    if is_set("CONFIG_PREFIX_SYMBOLS") {
        faults.extend(without_room(&symbols));
    }
    if kernel.arch == Arch::Arm64 && is_set("CONFIG_ARM64_PTR_AUTH_KERNEL") {
        let code = run::output(
            tool("objdump")
                .args(["--disassemble", "--no-show-raw-insn"])
                .arg(module),
        )?;
        faults.extend(unsigned(&code));
    }
    Ok(faults)
}

fn panicking(symbols: &str) -> Vec<String> {
    let found = symbols.lines().filter(|line| line.contains(PANICKING));
    found.map(|line| format!("can panic: {line}")).collect()
}

/// Functions without their prefix, from the lines `name type value size` of nm.
fn without_room(symbols: &str) -> Vec<String> {
    let functions: BTreeSet<&str> = symbols
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ');
            let name = words.next()?;
            matches!(words.next()?, "t" | "T").then_some(name)
        })
        .collect();
    functions
        .iter()
        // A mark inside of one, as every `.L` is.
        .filter(|name| !name.starts_with("__pfx_") && !name.starts_with(".L"))
        .filter(|name| !functions.contains(format!("__pfx_{name}").as_str()))
        .map(|name| format!("no room before {name}"))
        .collect()
}

/// Functions that save a return address which is not signed.
fn unsigned(code: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let (mut function, mut is_signed) = ("", false);
    for line in code.lines() {
        if let Some(name) = line.strip_suffix(">:") {
            function = name.split_once('<').map_or(name, |(_, name)| name);
            is_signed = false;
            continue;
        }
        let words: Vec<&str> = line
            .split([' ', '\t', ','])
            .filter(|word| !word.is_empty())
            .collect();
        is_signed |= words.contains(&"paciasp");
        let saves = words.contains(&"stp") || words.contains(&"str");
        if saves && !is_signed && words.contains(&"x30") && line.contains("[sp") {
            faults.push(format!("return address not signed in {function}"));
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unsigned_return_address_is_seen() {
        let code = "\n0000000000000000 <good>:\n   0:\tnop\n   4:\tpaciasp\n   8:\tstp\tx29, x30, [sp, #-32]!\n\
            \n0000000000000010 <leaf>:\n  10:\tret\n\
            \n0000000000000014 <bad>:\n  14:\tstr\tx30, [sp, #-16]!\n  18:\tpaciasp\n";
        assert_eq!(unsigned(code), ["return address not signed in bad"]);
    }

    #[test]
    fn a_function_without_room_before_it_is_seen() {
        let symbols =
            "__pfx_good t 0 10\ngood T 10 20\nbad t 40 8\n.Ltmp0 t 40 0\nprintk U\ntable d 0 8\n";
        assert_eq!(without_room(symbols), ["no room before bad"]);
    }

    #[test]
    fn what_can_panic_is_seen() {
        let symbols = "f t 0 8\n_RNvNtCsd52VHkHzK0d_4core9panicking9panic_fmt t 0 47\n";
        assert_eq!(panicking(symbols).len(), 1);
    }
}
