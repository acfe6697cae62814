// SPDX-License-Identifier: GPL-2.0-only
//! The debug kernel for the emulated Raspberry Pi 3.

use super::kernel::{Arch, Kernel, Recipe, Source};

pub(super) const KERNEL: Kernel = Kernel {
    name: "debug-arm64",
    arch: Arch::Arm64,
    source: Source::Built(&RECIPE),
};

const RECIPE: Recipe = Recipe {
    series: "6.12",
    fragment: include_str!("debug_arm64.config"),
    prefix: "aarch64-linux-gnu-",
    goals: &["Image", "modules", "dtbs"],
    image: "arch/arm64/boot/Image",
    unused: &["arch/[!a]*.[chS]"],
};
