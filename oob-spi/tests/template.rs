// SPDX-License-Identifier: GPL-2.0-only

//! The template controller exchanges frames with a device that returns each byte inverted.
#![cfg(not(loom))]

#[allow(unreachable_pub)]
#[path = "../examples/template.rs"]
mod template;

use oob::host::Host;
use oob::io::Mmio;
use oob::time::Ns;
use oob_spi::controller::*;
use std::cell::Cell;
use std::ptr::NonNull;
use template::Template;

/// A data register that answers at once, and a status bit.
struct Inverter {
    data: Cell<u32>,
    works: bool,
}

impl Mmio for Inverter {
    fn read(&self, offset: usize) -> u32 {
        match offset {
            0 => !self.data.get(),
            _ => self.works.into(),
        }
    }

    fn write(&self, _: usize, value: u32) {
        self.data.set(value);
    }

    fn publish(&self) {}

    fn observe(&self) {}
}

/// What arrives for the regular frame and the stop frame.
fn exchange(works: bool) -> Result<[[u8; 2]; 2], TransferError> {
    let (host, mut memory) = (Host::new(), [0_u8, 0, 1, 2, 3, 4]);
    let frame = FrameMemory {
        cpu: NonNull::from(&mut memory).cast(),
        bus: 0,
        len: 6,
        rx_offset: 0,
        tx_offset: 2,
        stop_offset: 4,
    };
    let setup = Setup {
        chip_select: 0,
        mode: 0,
        speed_hz: 1_000_000,
        bits_per_word: 8,
        frame_len: 2,
        delays: Delays::default(),
    };
    let mmio = Inverter {
        data: Cell::new(0),
        works,
    };
    let mut template = Template(mmio, None);
    assert_eq!(template.limits().chip_selects, 1);
    let (none, inband) = (template.pulse(0, FrameKind::Regular), host.inband());
    assert_eq!(none, Err(TransferError::NotPrepared));
    // SAFETY: `memory` outlives the controller, and only the controller uses it meanwhile.
    let prepared = unsafe { template.prepare(&inband, &setup, &frame) };
    assert_eq!(prepared.map(|prepared| prepared.wire), Ok(Ns(16_000)));
    template.start(&inband);
    let mut received = |kind| {
        template.pulse(0, kind)?;
        // SAFETY: the RX area is the first two bytes of `memory`, and no frame is under way.
        Ok(unsafe { frame.cpu.cast::<[u8; 2]>().read() })
    };
    let frames = [received(FrameKind::Regular)?, received(FrameKind::Stop)?];
    template.terminate(&inband, 0);
    template.stop(&inband);
    Ok(frames)
}

#[test]
fn the_template_exchanges_frames_and_finds_a_stuck_device() {
    assert_eq!(exchange(true), Ok([[!1, !2], [!3, !4]]));
    assert_eq!(exchange(false), Err(TransferError::Stuck));
}
