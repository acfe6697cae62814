// SPDX-License-Identifier: MIT OR Apache-2.0

//! A control loop: one frame every millisecond for a second. Run it as root.

use oobkit::spi::{Device, RunError, StopPolicy};
use oobkit::thread::{self, Realtime};
use oobkit::time::{self, Instant};
use std::time::Duration;

const PERIOD: Duration = Duration::from_millis(1);
const REALTIME: Realtime = Realtime {
    priority: 90,
    cpu: None,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut session = Device::open(0, 0)?.enable(16, 10_000_000)?; // 16 bytes at 10 MHz
    REALTIME.apply()?;
    let attached = thread::attach()?;
    // The driver sends this frame by itself when the program dies.
    session.set_stop(&[0; 16], StopPolicy::default())?;

    let (mut status, mut late) = ([0; 16], 0);
    let mut date = Instant::now().after(PERIOD);
    for _ in 0..1_000 {
        time::sleep_until(date);
        date = date.after(PERIOD);
        let command = status; // A real loop computes its next command from the last status here.
        session.write_tx(&command)?;
        match session.run_until(date) {
            Ok(()) => session.read_rx(&mut status)?,
            Err(RunError::Late | RunError::TooLate) => late += 1,
            Err(error) => return Err(error.into()),
        }
    }
    drop(attached);
    println!("{late} of 1000 frames missed their deadline");
    Ok(session.disable()?)
}
