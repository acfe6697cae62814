// SPDX-License-Identifier: GPL-2.0-only
//! The debug kernel for the emulated PC.

use super::kernel::{Arch, Kernel, Recipe, Source};

pub(super) const KERNEL: Kernel = Kernel {
    name: "debug-amd64",
    arch: Arch::X86_64,
    source: Source::Built(&RECIPE),
};

const RECIPE: Recipe = Recipe {
    series: "6.12",
    fragment: include_str!("debug_amd64.config"),
    prefix: "",
    goals: &["bzImage", "modules"],
    image: "arch/x86/boot/bzImage",
    unused: &["arch/[!x]*.[chS]", "arch/[!x]*.dts*"],
};
