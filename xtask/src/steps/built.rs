// SPDX-License-Identifier: GPL-2.0-only
//! Reads the built modules: their instructions and symbols must be as the kernel's configuration
//! says.
//!
//! ```text
//!   x86_64  retpolines, return thunks, IBT       objtool, which says so while the modules are built: no word, no fault
//!           room before each function            each has its `__pfx_` symbol (CONFIG_PREFIX_SYMBOLS)
//!   arm64   return addresses are signed          no function saves x30 before its `paciasp` (CONFIG_ARM64_PTR_AUTH_KERNEL)
//!           return addresses are kept twice      nor before it is on the shadow stack (CONFIG_SHADOW_CALL_STACK)
//!   both    out-of-band paths cannot panic       nothing of core::panicking was linked in
//!           memory accesses are checked          the Rust part refers to `__asan_` functions (CONFIG_KASAN)
//! ```

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::kernels::{Arch, Kernel};
use crate::kit::list::{Kind, Module, list};
use crate::run;

/// This text is part of the mangled name of everything in that module of Rust's library.
const PANICKING: &str = "4core9panicking";

/// The faults of a kernel's module, one line each.
pub(super) fn faults(kernel: &Kernel, module: &Path) -> Result<Vec<String>> {
    let config = kernel.dir()?.join("build/include/config/auto.conf");
    let config = fs::read_to_string(&config).with_context(|| format!("no {}", config.display()))?;
    let is_set = |option: &str| config.lines().any(|line| line == format!("{option}=y"));
    let tool = |name: &str| Command::new(format!("{}-linux-gnu-{name}", kernel.arch.gnu()));
    let symbols_of =
        |object: &Path| run::output(tool("nm").args(["--format", "posix"]).arg(object));
    let symbols = symbols_of(module)?;
    let mut faults = Vec::new();
    let name = module.file_stem().unwrap_or_default().to_string_lossy();
    // The virtual board simulates the machine. It panics when a test asks for it, and its memory
    // accesses are not checked by KASAN, which would make the machine slower than the programs on
    // it.
    let is_board = |known: Module| known.name == name && known.kind == Kind::Board;
    if !list().any(is_board) {
        faults.extend(panicking(&symbols));
        if is_set("CONFIG_KASAN") {
            // The module as a whole has C code too, which is always checked.
            let rust = module.with_file_name(format!("{name}_rust.o"));
            faults.extend(unchecked(&symbols_of(&rust)?));
        }
    }
    if is_set("CONFIG_PREFIX_SYMBOLS") {
        faults.extend(without_room(&symbols));
    }
    if kernel.arch == Arch::Arm64 {
        let code = run::output(
            tool("objdump")
                .args(["--disassemble", "--no-show-raw-insn"])
                .arg(module),
        )?;
        if is_set("CONFIG_ARM64_PTR_AUTH_KERNEL") {
            faults.extend(bare(&code, "paciasp", "signed"));
        }
        // With the other option the kernel replaces signatures by pushes at boot.
        if is_set("CONFIG_SHADOW_CALL_STACK") && !is_set("CONFIG_UNWIND_PATCH_PAC_INTO_SCS") {
            faults.extend(bare(&code, "[x18]", "on the shadow stack"));
        }
    }
    Ok(faults)
}

fn panicking(symbols: &str) -> Vec<String> {
    let found = symbols.lines().filter(|line| line.contains(PANICKING));
    found.map(|line| format!("can panic: {line}")).collect()
}

/// A fault if the Rust code calls nothing of KASAN's.
fn unchecked(symbols: &str) -> Option<String> {
    let calls = |line: &str| line.starts_with("__asan_");
    let is_checked = symbols.lines().any(calls);
    (!is_checked).then(|| "Rust's memory accesses are not checked".to_owned())
}

/// Functions without their prefix, from nm's lines `name type value size`.
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
        // A label inside a function, as every `.L` is.
        .filter(|name| !name.starts_with("__pfx_") && !name.starts_with(".L"))
        .filter(|name| !functions.contains(format!("__pfx_{name}").as_str()))
        .map(|name| format!("no room before {name}"))
        .collect()
}

/// Functions that save a return address before the word `guard` is among their instructions.
fn bare(code: &str, guard: &str, what: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let (mut function, mut is_guarded) = ("", false);
    for line in code.lines() {
        if let Some(name) = line.strip_suffix(">:") {
            function = name.split_once('<').map_or(name, |(_, name)| name);
            is_guarded = false;
            continue;
        }
        let words: Vec<&str> = line
            .split([' ', '\t', ','])
            .filter(|word| !word.is_empty())
            .collect();
        is_guarded |= words.contains(&guard);
        let saves = words.contains(&"stp") || words.contains(&"str");
        if saves && !is_guarded && words.contains(&"x30") && line.contains("[sp") {
            faults.push(format!("return address not {what} in {function}"));
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_return_address_is_seen() {
        let code = "\n0000000000000000 <good>:\n   0:\tnop\n   4:\tpaciasp\n   8:\tstp\tx29, x30, [sp, #-32]!\n\
            \n0000000000000010 <leaf>:\n  10:\tret\n\
            \n0000000000000014 <bad>:\n  14:\tstr\tx30, [sp, #-16]!\n  18:\tpaciasp\n";
        assert_eq!(
            bare(code, "paciasp", "signed"),
            ["return address not signed in bad"]
        );
        let code = code.replace("paciasp", "str\tx30, [x18], #8");
        assert_eq!(bare(&code, "[x18]", "kept").len(), 1);
        assert_eq!(bare(&code, "paciasp", "signed").len(), 2);
    }

    #[test]
    fn a_function_without_room_before_it_is_seen() {
        let symbols =
            "__pfx_good t 0 10\ngood T 10 20\nbad t 40 8\n.Ltmp0 t 40 0\nprintk U\ntable d 0 8\n";
        assert_eq!(without_room(symbols), ["no room before bad"]);
    }

    #[test]
    fn unchecked_memory_accesses_are_seen() {
        let symbols = "kfree U          \nasan.module_ctor t 0 1\n";
        assert!(unchecked(symbols).is_some());
        let symbols = format!("{symbols}__asan_report_load1_noabort U\n");
        assert_eq!(unchecked(&symbols), None);
    }

    #[test]
    fn what_can_panic_is_seen() {
        let symbols = "f t 0 8\n_RNvNtCsd52VHkHzK0d_4core9panicking9panic_fmt t 0 47\n";
        assert_eq!(panicking(symbols).len(), 1);
    }
}
