// SPDX-License-Identifier: MIT OR Apache-2.0

//! RUN on the FIFO path, beside mainline's spidev and beside a system call that does nothing, all in one boot.
//!
//! ```text
//!   kit's driver bound --- session, RUN x n
//!   the same device handed to mainline's driver (driver_override) --- spidev, SPI_IOC_MESSAGE x n
//!   /dev/null --- an ioctl that it refuses x n
//! ```

use crate::Failure;
use crate::record::{Record, UNIT};
use crate::series::{Column, measure};
use oobkit::inband::Spidev;
use oobkit::spi::{Device, Session};
use oobkit::thread;
use oobkit_abi::spi::{PATH_FIFO, RUN_OOB_XFER};
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

const LENGTHS: [u32; 3] = [8, 32, 64];
/// The clock of the control loop.
const SPEED_HZ: u32 = 10_000_000;
/// SPI0 where the processors of BCM2837 see it.
const DEVICE: &str = "3f204000.spi";
const MAINLINE: &str = "spi-bcm2835";
/// How long udev's place is waited for.
const PATIENCE_MS: u32 = 2_000;

/// Measures `n` calls for each length.
///
/// # Errors
///
/// Whatever keeps a series from being measured.
pub(crate) fn run(n: usize, device: &Path) -> Result<Vec<Record>, Failure> {
    let null = File::open("/dev/null")?;
    let mut ours = Vec::new();
    for len in LENGTHS {
        let kit = measure_kit(n, device, len)?;
        // For as long as the kit at least: what makes a call long is an interrupt, which comes by time and not by calls.
        let mut empty = measure(n, || refused(&null))?;
        while empty.iter().sum::<u64>() < kit.iter().sum() {
            empty.extend(measure(n, || refused(&null))?);
        }
        ours.push((column(kit)?, column(empty)?));
    }
    hand_over()?;
    let spidev = wait_for_spidev()?;
    let mut records = Vec::new();
    for (len, (kit, empty)) in LENGTHS.into_iter().zip(ours) {
        let mainline = column(measure_spidev(n, &spidev, len)?)?;
        let mut record = Record::new(format!("fifo-{len}B"), UNIT, kit);
        record.peer("spidev", mainline).peer("empty-ioctl", empty);
        records.push(record);
    }
    Ok(records)
}

fn column(values: Vec<u64>) -> Result<Column, Failure> {
    Column::of(values).ok_or_else(|| "no values".into())
}

fn measure_kit(n: usize, device: &Path, len: u32) -> Result<Vec<u64>, Failure> {
    let _attached = thread::attach()?;
    let mut session = session(device, len, SPEED_HZ)?;
    if session.info()?.path != PATH_FIFO {
        return Err(format!("frames of {len} bytes do not go through the FIFO").into());
    }
    measure(n, || session.run())
}

/// A session in which what is sent is a pattern.
pub(crate) fn session(device: &Path, len: u32, hz: u32) -> Result<Session, Failure> {
    let mut device = Device::open_path(device)?;
    device.set_mode(0)?.set_bits_per_word(8)?;
    let mut session = device.enable(len, hz)?;
    session.write_tx(&pattern(len))?;
    Ok(session)
}

fn pattern(len: u32) -> Vec<u8> {
    (0..=u8::MAX).cycle().take(len as usize).collect()
}

fn measure_spidev(n: usize, path: &Path, len: u32) -> Result<Vec<u64>, Failure> {
    let mut spidev = Spidev::open_path(path)?;
    spidev.configure(0, SPEED_HZ)?;
    let tx = pattern(len);
    let mut rx = vec![0; tx.len()];
    measure(n, || spidev.transfer(&tx, &mut rx))
}

/// The ioctl that ends at once: as /dev/null knows none.
fn refused(null: &File) -> std::io::Result<()> {
    // SAFETY: a number that takes no argument, for a driver that knows no ioctl at all.
    let result = unsafe { libc::ioctl(null.as_raw_fd(), RUN_OOB_XFER.into()) };
    match result {
        -1 => Ok(()),
        _ => Err(std::io::Error::other("/dev/null took an ioctl")),
    }
}

/// Takes the controller from the kit's driver and gives it to mainline's, both as any administrator would.
fn hand_over() -> Result<(), Failure> {
    let device = Path::new("/sys/bus/platform/devices").join(DEVICE);
    let write = |path: PathBuf, text: &str| {
        fs::write(&path, text).map_err(|e| format!("{}: {e}", path.display()))
    };
    write(device.join("driver/unbind"), DEVICE)?;
    write(device.join("driver_override"), MAINLINE)?;
    write(PathBuf::from("/sys/bus/platform/drivers_probe"), DEVICE)?;
    let driver = fs::read_link(device.join("driver"))?;
    if !driver.ends_with(MAINLINE) {
        return Err(format!("the controller went to {}", driver.display()).into());
    }
    Ok(())
}

fn wait_for_spidev() -> Result<PathBuf, Failure> {
    for _ in 0..PATIENCE_MS {
        for entry in fs::read_dir("/dev")? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.starts_with("spidev") && name.ends_with(".0") {
                return Ok(path.clone());
            }
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Err("mainline's spidev did not come".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_refuses_every_ioctl() {
        assert!(refused(&File::open("/dev/null").unwrap()).is_ok());
    }
}
