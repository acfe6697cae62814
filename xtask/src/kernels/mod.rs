// SPDX-License-Identifier: GPL-2.0-only
//! The kernels that the workshop boots and builds modules for: Debian's ([`stock`]), and the ones
//! that it builds itself ([`debug_amd64`], [`debug_arm64`]).

pub(crate) mod debug;
mod debug_amd64;
mod debug_arm64;
mod kernel;
pub(crate) mod stock;

use anyhow::{Context, Result};

pub(crate) use kernel::{Arch, Kernel, Recipe, Source};

static STOCK: [Kernel; 7] = stock::KERNELS;
static DEBUG: [Kernel; 2] = [debug_amd64::KERNEL, debug_arm64::KERNEL];

/// Every kernel of the workshop.
pub(crate) fn all() -> impl Iterator<Item = &'static Kernel> + Clone {
    STOCK.iter().chain(&DEBUG)
}

/// The kernel of this name.
pub(crate) fn named(name: &str) -> Result<&'static Kernel> {
    let found = all().find(|kernel| kernel.name == name);
    found.with_context(|| {
        let names: Vec<_> = all().map(|kernel| kernel.name).collect();
        format!("there is no kernel {name}; there are {}", names.join(", "))
    })
}

/// Whether the cache has the whole kernel, as it would be built now.
pub(crate) fn is_ready(kernel: &Kernel) -> Result<bool> {
    let dir = kernel.dir()?;
    if !dir.join("release").exists() {
        return Ok(false);
    }
    match kernel.source {
        Source::Stock { .. } => Ok(true),
        Source::Built(recipe) => debug::is_current(&dir, recipe),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_kernel_is_refused_with_the_names_there_are() {
        let text = named("7.0").unwrap_err().to_string();
        assert!(
            text.contains("7.0") && text.contains("6.12-rt-arm64"),
            "{text}"
        );
    }
}
