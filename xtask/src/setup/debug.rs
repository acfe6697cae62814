// SPDX-License-Identifier: GPL-2.0-only
//! The debug kernel.

use super::kernel::Kernel;
use anyhow::{Result, bail};

pub(crate) fn build(kernel: &Kernel, _series: &str) -> Result<()> {
    bail!("{}: not yet", kernel.name)
}
