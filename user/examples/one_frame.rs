// SPDX-License-Identifier: MIT OR Apache-2.0

//! Exchanges one frame with the device on chip select 0 of SPI bus 0, out-of-band. Run it as root.

use oobkit::{spi, thread};
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    // Set-up. From `enable` on, the bus is reserved for this session's frames: 16 bytes each, at 10
    // MHz.
    let mut device = spi::Device::open(0, 0)?; // /dev/oob/spidev0.0
    device.set_mode(0)?.set_bits_per_word(8)?;
    let mut session = device.enable(16, 10_000_000)?;

    // Only a real-time thread that is attached to the out-of-band stage may exchange frames.
    let realtime = thread::Realtime {
        priority: 90,
        cpu: None,
    };
    realtime.apply()?;
    let attached = thread::attach()?;

    let mut received = [0; 16];
    session.write_tx(&[0x55; 16])?;
    session.run()?;
    session.read_rx(&mut received)?;

    // Printing may take any time, so the thread detaches first and prints as an ordinary thread.
    drop(attached);
    println!("received {received:02x?}");
    session.disable()?;
    Ok(())
}
