// SPDX-License-Identifier: MIT OR Apache-2.0

//! Measures RUN on the FIFO path, and for comparison mainline's spidev and a system call that does
//! nothing, in one boot.
//!
//! ```text
//!   the kit's driver is bound                                  n times RUN
//!   /dev/null                                                  n times an ioctl that it refuses
//!   the same device, bound to mainline's (driver_override)     n times spidev's SPI_IOC_MESSAGE
//! ```

use crate::record::{Record, UNIT};
use crate::series::{Column, Failure, measure};
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
/// SPI0's device, named after its address on BCM2837.
const DEVICE: &str = "3f204000.spi";
const MAINLINE: &str = "spi-bcm2835";
/// How long to wait until spidev's node appears in /dev.
const PATIENCE_MS: u32 = 2_000;

/// Measures `n` calls for each length.
///
/// # Errors
///
/// [`Failure`]: why a series was not measured.
pub(crate) fn run(n: usize, device: &Path) -> Result<Vec<Record>, Failure> {
    let null = File::open("/dev/null")?;
    let mut ours = Vec::new();
    for len in LENGTHS {
        let kit = measure_kit(n, device, len)?;
        // The empty call is measured for at least as long as the kit's. Interrupts make single
        // calls long, and their number depends on time, not on the number of calls.
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

/// A session that sends a pattern.
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

/// Makes an ioctl that returns at once, because /dev/null refuses all ioctls.
fn refused(null: &File) -> std::io::Result<()> {
    // SAFETY: the opcode takes no argument, so the kernel accesses no memory.
    let result = unsafe { libc::ioctl(null.as_raw_fd(), RUN_OOB_XFER.into()) };
    match result {
        -1 => Ok(()),
        _ => Err(std::io::Error::other("/dev/null took an ioctl")),
    }
}

/// Unbinds the controller from the kit's driver and binds it to mainline's, through sysfs.
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
        return Err(format!("the controller is bound to {}", driver.display()).into());
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
    Err("mainline's spidev has made no node in /dev".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dev_null_refuses_the_ioctl() {
        assert!(refused(&File::open("/dev/null").unwrap()).is_ok());
    }
}
