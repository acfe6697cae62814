// SPDX-License-Identifier: GPL-2.0-only

//! Which board this is; the virtual board's faults and counters; the parameters of oob_spi.

use anyhow::{Context, Result};
use clap::ValueEnum;
use std::fs;
use std::path::Path;

/// A board with an SPI bus under the kit's driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Board {
    /// The virtual board of `vboard.ko`, on any machine without an SPI bus for the kit.
    Vboard,
    /// QEMU's raspi3b.
    Raspi3b,
    /// QEMU's raspi3b with the overlay for silicon. Its SPI block has no DMA mode, so no test may
    /// send a frame by DMA.
    Raspi3bOverlay,
}

impl Board {
    /// Looks at the machine and not at the device nodes: if the nodes are missing, the tests shall
    /// fail and not vanish.
    pub(crate) fn detect() -> Self {
        let compatible = fs::read_to_string("/proc/device-tree/compatible").unwrap_or_default();
        if compatible.contains("raspberrypi,3") {
            let windows = fs::read_to_string("/proc/device-tree/soc/spi@7e204000/reg-names");
            match windows.is_ok_and(|names| names.contains("dma-rx")) {
                true => Self::Raspi3bOverlay,
                false => Self::Raspi3b,
            }
        } else {
            Self::Vboard
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Vboard => "vboard",
            Self::Raspi3b => "raspi3b",
            Self::Raspi3bOverlay => "raspi3b-overlay",
        }
    }
}

const DEBUGFS: &str = "/sys/kernel/debug";

fn path(name: &str) -> Result<String> {
    let folder = format!("{DEBUGFS}/vboard");
    if !Path::new(&folder).exists() {
        // If debugfs is mounted already, the missing file gives the better message.
        let _ = mount("debugfs", DEBUGFS);
    }
    Ok(format!("{folder}/{name}"))
}

/// Mounts a file system that needs no device.
pub(crate) fn mount(kind: &str, at: &str) -> Result<()> {
    let text = |text: &str| std::ffi::CString::new(text);
    let (kind, at) = (text(kind)?, text(at)?);
    // SAFETY: the strings are C strings that outlive the call, and null stands for no data.
    let result = unsafe {
        libc::mount(
            kind.as_ptr(),
            at.as_ptr(),
            kind.as_ptr(),
            0,
            std::ptr::null(),
        )
    };
    if result != 0 {
        return Err(std::io::Error::last_os_error().into());
    }
    Ok(())
}

fn read(path: &str) -> Result<u64> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
    text.trim()
        .parse()
        .with_context(|| format!("{path} says {text:?}"))
}

fn write(path: &str, value: u64) -> Result<()> {
    fs::write(path, value.to_string()).with_context(|| format!("cannot write {path}"))
}

/// Reads one of the virtual board's counters.
pub(crate) fn number(name: &str) -> Result<u64> {
    read(&path(name)?)
}

/// Writes a number to any file of debugfs.
pub(crate) fn set_debug(name: &str, value: u64) -> Result<()> {
    write(&format!("{DEBUGFS}/{name}"), value)
}

const FAULTS: [&str; 6] = [
    "fault_tx_dreq",
    "fault_rx_dreq",
    "fault_lost_irqs",
    "fault_hung_channels",
    "fault_miso_noise",
    "fault_bus_error_at",
];

/// A fault of the virtual board, which lasts until this value is dropped.
pub(crate) struct Fault(&'static str);

impl Fault {
    pub(crate) fn new(name: &'static str, value: u64) -> Result<Self> {
        write(&path(name)?, value)?;
        Ok(Self(name))
    }
}

impl Drop for Fault {
    fn drop(&mut self) {
        // The runner clears all faults after each test, and fails where it cannot.
        let _ = path(self.0).and_then(|path| write(&path, 0));
    }
}

/// Ends all faults.
pub(crate) fn clear_faults(board: Board) -> Result<()> {
    if board == Board::Vboard {
        for name in FAULTS {
            write(&path(name)?, 0)?;
        }
    }
    Ok(())
}

fn parameter(name: &str) -> String {
    format!("/sys/module/oob_spi/parameters/{name}")
}

/// Sets a parameter of `oob_spi.ko`.
pub(crate) fn set_parameter(name: &str, value: u64) -> Result<()> {
    write(&parameter(name), value)
}

/// Sets the parameters to their defaults.
pub(crate) fn default_parameters() -> Result<()> {
    set_parameter("inband_wait_ms", 1000)?;
    set_parameter("enable_wait_ms", 1000)
}
