// SPDX-License-Identifier: GPL-2.0-only

//! Loading and unloading the kit's modules, and binding its driver.
//!
//! ```text
//!   oob_shim   oob_spi <- oob_bcm2835 <- vboard's device          /modules/<name>.ko
//! ```

use super::board::Board;
use super::check::{accepted, eventually};
use super::device::is_evl;
use anyhow::{Context, Result, ensure};
use rustix::io::Errno;
use rustix::system::{delete_module, finit_module};
use std::ffi::CString;
use std::fs;
use std::fs::File;
use std::path::Path;

/// The settings of `/init`: lines of shell variables.
const SETTINGS: &str = "/etc/oobkit";

/// The kit's modules that `/init` loaded, in load order.
pub(crate) fn names() -> Result<Vec<String>> {
    let settings = fs::read_to_string(SETTINGS).with_context(|| format!("no {SETTINGS}"))?;
    let line = settings.lines().find_map(|line| line.strip_prefix("KIT="));
    let kit = line.with_context(|| format!("no KIT in {SETTINGS}"))?;
    // EVL needs no shim.
    let has = |name: &&str| *name != "oob_shim" || !is_evl();
    let names = kit.trim_matches('\'').split_whitespace().filter(has);
    Ok(names.map(str::to_owned).collect())
}

pub(crate) fn is_loaded(name: &str) -> bool {
    Path::new("/sys/module").join(name).exists()
}

pub(crate) fn load(name: &str) -> Result<()> {
    let path = format!("/modules/{name}.ko");
    let file = File::open(&path).with_context(|| format!("cannot open {path}"))?;
    accepted(
        &format!("loading {name}"),
        finit_module(&file, c"", 0).map(drop),
    )
}

/// Unloads a module without waiting. The inner result is the kernel's.
pub(crate) fn try_unload(name: &str) -> Result<Result<(), Errno>> {
    let name = CString::new(name)?;
    Ok(delete_module(&name, libc::O_NONBLOCK))
}

pub(crate) fn unload(name: &str) -> Result<()> {
    accepted(&format!("unloading {name}"), try_unload(name)?)
}

/// Loads all missing modules, binds the driver, and waits for the device nodes.
pub(crate) fn load_all(board: Board) -> Result<()> {
    for name in names()? {
        if !is_loaded(&name) {
            load(&name)?;
        }
    }
    if bound()?.is_none() {
        bind()?;
    }
    if is_evl() {
        bind_spidev()?;
    }
    await_nodes(board)
}

fn await_nodes(board: Board) -> Result<()> {
    let nodes: &[&str] = match board {
        Board::Vboard => &[
            "/dev/oob/ctl",
            "/dev/oob/spidev0.0",
            "/dev/oob/spidev0.1",
            "/dev/oob/spidev0.2",
            "/dev/spidev0.0",
        ],
        Board::Raspi3b => &[
            "/dev/oob/ctl",
            "/dev/oob/spidev0.0",
            "/dev/oob/spidev0.1",
            "/dev/spidev0.0",
            "/dev/spidev0.1",
        ],
        Board::Raspi3bOverlay => &[
            "/dev/oob/ctl",
            "/dev/oob/spidev0.0",
            "/dev/oob/spidev0.1",
            "/dev/spidev0.0",
        ],
    };
    // On EVL there is no shim, and so no control node.
    let needed = |node: &&&str| !is_evl() || !node.ends_with("/ctl");
    for node in nodes.iter().filter(needed) {
        eventually(&format!("{node} is there"), || Ok(Path::new(node).exists()))?;
    }
    Ok(())
}

/// The driver's folder in sysfs.
const DRIVER: &str = "/sys/bus/platform/drivers/oobkit-bcm2835-spi";

/// The device that the driver is bound to, if any.
pub(crate) fn bound() -> Result<Option<String>> {
    for entry in fs::read_dir(DRIVER).with_context(|| format!("no {DRIVER}"))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        // The folder also has a link to the module.
        if entry.file_type()?.is_symlink() && name != "module" {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

/// Unbinds the driver. Returns the device's name.
pub(crate) fn unbind() -> Result<String> {
    let device = bound()?.context("the driver is bound to nothing")?;
    fs::write(format!("{DRIVER}/unbind"), &device).context("unbind")?;
    ensure!(bound()?.is_none(), "unbinding {device} did nothing");
    Ok(device)
}

/// Binds the driver to a device again.
pub(crate) fn bind_to(device: &str) -> Result<()> {
    fs::write(format!("{DRIVER}/bind"), device).context("bind")?;
    match is_evl() {
        true => bind_spidev(),
        false => Ok(()),
    }
}

/// Binds spidev to the board's device. The spidev of an old kernel with EVL does not know this
/// device.
fn bind_spidev() -> Result<()> {
    let device = Path::new("/sys/bus/spi/devices/spi0.0");
    if !device.exists() || device.join("driver").exists() {
        return Ok(());
    }
    fs::write(device.join("driver_override"), "spidev").context("driver_override")?;
    fs::write("/sys/bus/spi/drivers/spidev/bind", "spi0.0").context("binding spidev")
}

/// Binds the driver to its device.
fn bind() -> Result<()> {
    for entry in fs::read_dir("/sys/bus/platform/devices")? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name == "oobkit-bcm2835-spi" || name.ends_with("204000.spi") {
            return bind_to(&name);
        }
    }
    anyhow::bail!("there is no device to bind the driver to")
}
