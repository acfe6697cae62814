// SPDX-License-Identifier: GPL-2.0-only

//! The overlay for silicon, on a machine whose SPI block has no DMA mode. There the tests can show
//! that both drivers bind, each to its part of the hardware, and that FIFO frames work.
//!
//! ```text
//!   dma-controller  <- bcm2835-dma (mainline's, built in): requests the whole window, does not use channels 4 and 5
//!   spi             <- oobkit-bcm2835-spi: its own window, those two channels, the interrupt of channel 5
//! ```

use crate::support::check::accepted;
use crate::support::frames::Frames;
use crate::support::modules::{bind_to, bound, load_all, unbind};
use crate::support::task;
use crate::test::{Guest, On, Test};
use anyhow::{Context, Result, ensure};
use oobkit_abi::spi as abi;
use std::fs;

pub(crate) const TESTS: &[Test] = &[
    Test::smoke(
        "overlay: the kit's driver and mainline's DMA driver are bound side by side",
        On::Overlay,
        both_bound,
    ),
    Test::new(
        "overlay: GET_INFO returns the DMA path for long frames and the FIFO path for short ones",
        On::Overlay,
        paths,
    ),
    Test::new(
        "overlay: the kit alone owns the RX channel's interrupt until the driver is unbound",
        On::Overlay,
        line,
    ),
];

/// How many channels mainline's driver has: channels 0, 2 and 8 to 14.
const MAINLINES: usize = 9;

fn both_bound(_: &Guest) -> Result<()> {
    let ours = bound()?.context("the kit's driver is bound to nothing")?;
    ensure!(ours == "3f204000.spi", "the kit's driver has {ours}");
    let driver = fs::read_link("/sys/bus/platform/devices/3f007000.dma-controller/driver")
        .context("the DMA controller has no driver")?;
    ensure!(driver.ends_with("bcm2835-dma"), "{}", driver.display());
    let mask = fs::read("/proc/device-tree/soc/dma-controller@7e007000/brcm,dma-channel-mask")?;
    ensure!(mask == [0, 0, 0x7f, 0x05], "the mask is {mask:02x?}");
    let channels = fs::read_dir("/sys/class/dma")?.count();
    ensure!(channels == MAINLINES, "mainline has {channels} channels");
    Ok(())
}

fn paths(_: &Guest) -> Result<()> {
    // ENABLE and DISABLE access the channels, but start no transfer.
    let long = Frames::on(0, 1024, 0)?;
    long.must_be_dma()?;
    accepted("DISABLE", long.device.disable())?;
    drop(long);
    let short = Frames::on(0, 8, 0)?;
    ensure!(short.path()? == abi::PATH_FIFO, "8 bytes go by DMA");
    task::oob(|| accepted("RUN", short.device.run()))
}

/// The line of /proc/interrupts for the kit's interrupt, if the kit has one.
fn on_the_line() -> Result<Option<String>> {
    let text = fs::read_to_string("/proc/interrupts")?;
    let line = text.lines().find(|line| line.contains("oob_bcm2835"));
    Ok(line.map(str::to_owned))
}

fn line(guest: &Guest) -> Result<()> {
    let line = on_the_line()?.context("the kit has no interrupt")?;
    // /proc/interrupts separates the handlers of a shared interrupt by commas.
    ensure!(!line.contains(','), "shared: {line}");
    ensure!(
        line.contains(" 53 "),
        "not GPU interrupt 21, bank 1: {line}"
    );
    let device = unbind()?;
    ensure!(on_the_line()?.is_none(), "the interrupt was not freed");
    bind_to(&device)?;
    load_all(guest.board)?;
    ensure!(
        on_the_line()?.is_some(),
        "the driver bound again without its interrupt"
    );
    Ok(())
}
