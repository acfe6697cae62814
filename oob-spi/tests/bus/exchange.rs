// SPDX-License-Identifier: GPL-2.0-only

//! Exchange calls: RUN, RUN_UNTIL, RUN_LIST.

use crate::rig::*;
use oob::host::Thread;
use oob::time::{Clock, Ns};
use oob_spi::controller::*;
use oob_spi::errno::*;
use oob_spi::request::Owner;
use oobkit_abi::spi as abi;
use std::cell::Cell;
use std::rc::Rc;

const PATHS: [Path; 3] = [Path::Fifo, Path::SlowFifo, Path::Dma];

#[test]
fn a_frame_goes_out_and_comes_back() {
    for path in PATHS {
        let rig = Rig::on(path);
        for byte in [0x5a, 0xff] {
            rig.write_tx(0, byte);
            rig.run().unwrap();
            assert_eq!(rig.read_rx(0), [!byte; FRAME as usize]);
        }
        let stats = rig.stats();
        assert_eq!((stats.frames, stats.worst_ns), (2, WIRE.0));
        assert_eq!((stats.timeouts, stats.missed, stats.rejected), (0, 0, 0));
    }
}

#[test]
fn run_is_refused_when_off_or_without_a_chip_select() {
    let rig = Rig::new(Path::Fifo);
    assert_eq!(rig.run(), Err(RunError::Off));
    assert_eq!(rig.bus.run(&rig.host.oob(), 3, ME), Err(RunError::NoSuch));
    rig.enable(0).unwrap();
    rig.disable();
    assert_eq!(rig.run(), Err(RunError::Off));
    assert_eq!(rig.stats().rejected, 2);
    assert!(rig.hardware.pulses().is_empty());
}

#[test]
fn a_second_thread_is_refused_while_a_frame_is_under_way() {
    for path in PATHS {
        let rig = Rig::on(path);
        rig.enable(1).unwrap();
        let (host, bus) = (rig.host.clone(), rig.bus.clone());
        let seen = Rc::new(Cell::new(None));
        let result = seen.clone();
        let date = host.now().after(Ns(1_000));
        Thread::run(&host, &host.inband(), c"second", 50, move |oob, me| {
            me.sleep_until(oob, date).unwrap();
            result.set(Some((bus.run(oob, 0, ME), bus.run(oob, 1, ME))));
        })
        .unwrap();
        rig.run().unwrap();
        assert_eq!(seen.get(), Some((Err(RunError::Busy), Err(RunError::Busy))));
        assert_eq!(rig.hardware.pulses().len(), 1);
        assert_eq!((rig.stats().frames, rig.stats().rejected), (1, 1));
        assert_eq!(rig.bus.stats(1).rejected, 1);
    }
}

#[test]
fn run_returns_eagain_during_a_set_up() {
    let rig = Rig::on(Path::Dma);
    let inside = rig.clone();
    let seen = Rc::new(Cell::new(None));
    let result = seen.clone();
    *rig.hardware.during_prepare.borrow_mut() =
        Some(Box::new(move || result.set(Some(inside.run()))));
    rig.enable(1).unwrap();
    assert_eq!(seen.get(), Some(Err(RunError::SettingUp)));
    rig.run().unwrap();
}

#[test]
fn a_deadline_is_met_missed_before_or_missed_after() {
    for path in PATHS {
        let rig = Rig::on(path);
        rig.run_for(WIRE).unwrap();
        assert_eq!(rig.run_for(Ns(0)), Err(RunError::TooLate));
        assert_eq!(rig.hardware.pulses().len(), 1, "too late: nothing is sent");
        rig.write_tx(0, 0x11);
        assert_eq!(rig.run_for(Ns(WIRE.0 - 1)), Err(RunError::Late));
        assert_eq!(
            rig.read_rx(0),
            [0xee; FRAME as usize],
            "late, but exchanged"
        );
        let stats = rig.stats();
        assert_eq!((stats.frames, stats.missed, stats.rejected), (2, 2, 0));
        let args = abi::RunUntil {
            deadline_ns: u64::MAX,
            reserved: 1,
        };
        assert_eq!(
            rig.bus.run_until(&rig.host.oob(), 0, ME, &args),
            Err(RunError::Reserved)
        );
        assert_eq!(rig.stats().rejected, 1);
    }
}

#[test]
fn each_failure_of_a_frame_has_its_error_and_the_next_frame_works() {
    let rig = Rig::on(Path::Dma);
    rig.script([
        Frame::Broken(TransferError::Bus),
        Frame::Good,
        Frame::Refused(TransferError::Bus),
        Frame::Good,
        Frame::Refused(TransferError::Stuck),
    ]);
    assert_eq!(rig.run(), Err(RunError::Bus));
    rig.run().unwrap();
    assert_eq!(rig.run(), Err(RunError::Bus));
    rig.run().unwrap();
    assert_eq!(rig.run(), Err(RunError::Stuck));
    rig.run().unwrap();
    let stats = rig.stats();
    assert_eq!((stats.frames, stats.bus_errors, stats.timeouts), (3, 2, 1));
    assert_eq!((stats.missed, stats.rejected), (0, 0));
    // On the FIFO path the controller itself gives up.
    let rig = Rig::on(Path::Fifo);
    rig.script([Frame::Stuck, Frame::Good]);
    assert_eq!(rig.run(), Err(RunError::Stuck));
    rig.run().unwrap();
}

fn list(chip_selects: &[u8]) -> abi::RunList {
    let mut list = abi::RunList {
        count: chip_selects.len() as u32,
        ..abi::RunList::default()
    };
    for (entry, chip_select) in list.entries.iter_mut().zip(chip_selects) {
        entry.chip_select = *chip_select;
    }
    list.entries.iter_mut().for_each(|entry| entry.status = 77);
    list
}

fn statuses(list: &abi::RunList) -> Vec<i32> {
    list.entries
        .iter()
        .map(|entry| entry.status)
        .take_while(|status| *status != 77)
        .collect()
}

#[test]
fn a_list_runs_in_order_with_nothing_in_between() {
    for path in PATHS {
        let rig = Rig::on(path);
        rig.enable(2).unwrap();
        let mut frames = list(&[0, 2, 0]);
        rig.bus
            .run_list(&rig.host.oob(), 0, ME, &mut frames)
            .unwrap();
        assert_eq!(statuses(&frames), [0, 0, 0]);
        use FrameKind::Regular;
        assert_eq!(
            rig.hardware.pulses(),
            [(0, Regular), (2, Regular), (0, Regular)]
        );
        assert_eq!((rig.stats().frames, rig.bus.stats(2).frames), (2, 1));
        assert_eq!(rig.stats().worst_ns, WIRE.0, "each frame's own time");
        let mut sixteen = list(&[0; 16]);
        rig.bus
            .run_list(&rig.host.oob(), 0, ME, &mut sixteen)
            .unwrap();
        assert_eq!(statuses(&sixteen), [0; 16]);
    }
}

#[test]
fn a_list_ends_at_its_first_failure_and_the_statuses_say_where() {
    let rig = Rig::on(Path::Dma);
    rig.enable(1).unwrap();
    rig.script([Frame::Good, Frame::Broken(TransferError::Bus)]);
    let mut frames = list(&[0, 1, 0, 1]);
    let failed = rig.bus.run_list(&rig.host.oob(), 0, ME, &mut frames);
    assert_eq!(failed, Err(ListError::Failed(RunError::Bus)));
    assert_eq!(failed.unwrap_err().errno(), 121);
    assert_eq!(statuses(&frames), [0, -121, -125, -125]);
    assert_eq!(rig.hardware.pulses().len(), 2);
    rig.run().unwrap();

    // The deadline passes during the second frame, and before the third.
    for (span, want, error) in [
        (WIRE.0 * 3 / 2, [0, -62, -125], RunError::Late),
        (WIRE.0 * 2, [0, 0, -116], RunError::TooLate),
    ] {
        let mut frames = list(&[0, 0, 0]);
        frames.deadline_ns = rig.host.now().0 + span;
        let failed = rig.bus.run_list(&rig.host.oob(), 0, ME, &mut frames);
        assert_eq!(failed, Err(ListError::Failed(error)));
        assert_eq!(statuses(&frames), want);
    }
    assert_eq!((rig.stats().missed, rig.stats().rejected), (2, 0));
}

#[test]
fn each_bad_list_is_refused_as_a_whole() {
    let rig = Rig::on(Path::Fifo);
    rig.enable(1).unwrap();
    rig.set_timer(1, rig.host.now().after(Ns(1_000_000_000)), Ns(1_000_000));
    let mut too_many = list(&[0; 16]);
    too_many.count = 17;
    let mut reserved = list(&[0]);
    reserved.reserved = 1;
    let mut entry_reserved = list(&[0, 0]);
    entry_reserved.entries[1].reserved = [1, 0, 0];
    let bad = [
        (list(&[]), ListError::Refused(ListRefused::Empty)),
        (too_many, ListError::Refused(ListRefused::TooMany)),
        (list(&[0, 1]), ListError::Refused(ListRefused::TimerDriven)),
        (reserved, ListError::Entry(RunError::Reserved)),
        (entry_reserved, ListError::Entry(RunError::Reserved)),
        (list(&[0, 2]), ListError::Entry(RunError::Off)),
        (list(&[0, 3]), ListError::Entry(RunError::NoSuch)),
        (list(&[0, 255]), ListError::Entry(RunError::NoSuch)),
    ];
    let cases = bad.len() as u64;
    for (mut frames, error) in bad {
        let before = frames;
        assert_eq!(
            rig.bus.run_list(&rig.host.oob(), 0, ME, &mut frames),
            Err(error)
        );
        assert_eq!(frames, before);
    }
    let refused = rig
        .bus
        .run_list(&rig.host.oob(), 0, Owner(8), &mut list(&[0]));
    assert_eq!(refused, Err(ListError::Entry(RunError::OtherOwner)));
    assert!(rig.hardware.pulses().is_empty());
    assert_eq!(rig.stats().rejected, cases + 1);
}
