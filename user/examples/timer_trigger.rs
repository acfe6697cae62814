// SPDX-License-Identifier: MIT OR Apache-2.0

//! A timer in the kernel starts the frames, and the program waits for each of them. Run it as root.

use oobkit::spi::{Device, Trigger};
use oobkit::thread::{self, Realtime};
use oobkit::time::Instant;
use std::time::Duration;

const REALTIME: Realtime = Realtime {
    priority: 90,
    cpu: None,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut session = Device::open(0, 0)?.enable(16, 10_000_000)?; // 16 bytes at 10 MHz
    REALTIME.apply()?;
    let attached = thread::attach()?;

    // The timer's interrupt handler sends what the program wrote last.
    session.write_tx(&[0x55; 16])?;
    session.set_trigger(Trigger::Timer {
        first: Instant::now().after(Duration::from_millis(10)),
        period: Duration::from_millis(1),
    })?;
    let mut status = [0; 16];
    for _ in 0..1_000 {
        session.run()?; // Starts no frame: waits until the timer's next one has ended.
        session.read_rx(&mut status)?;
    }
    session.set_trigger(Trigger::Call)?; // Stops the timer.

    drop(attached);
    let stats = session.stats()?;
    println!("{} frames, {} overruns", stats.frames, stats.overruns);
    println!("last one: {status:02x?}");
    Ok(session.disable()?)
}
