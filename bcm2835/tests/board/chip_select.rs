// SPDX-License-Identifier: GPL-2.0-only

//! The chip selects of frames through the FIFO: line, polarity, mode, delays and speed of each.

use crate::rig::{NO_DMA, Rig, payload, setup};
use oob::time::{Clock, Ns};
use oob_spi::controller::{Controller, Delays, MODE_CPHA, MODE_CPOL, MODE_CS_HIGH, MODE_NO_CS};

const CS: usize = 0x00;

#[test]
fn the_slave_sees_the_delays_of_the_set_up() {
    let mut rig = Rig::new(NO_DMA);
    let delays = Delays {
        setup: Ns(3_000),
        hold: Ns(2_000),
        inactive: Ns(7_000),
    };
    let wanted = oob_spi::controller::Setup {
        delays,
        ..setup(2, 16, 10_000_000)
    };
    let (frame, prepared) = rig.prepare(&wanted);
    assert_eq!(prepared.wire, Ns(16 * 8 * 104 + 12_000));
    rig.start();
    for salt in 0..4 {
        rig.exchange(2, &frame, salt);
        let seen = rig.board.chip_select(2);
        let (low, high) = (Ns(3_000), Ns(3_200));
        assert!(low <= seen.setup && seen.setup < high, "{seen:?}");
        // The FIFO is emptied before the chip select becomes inactive: 16 reads of 40 ns.
        assert!(Ns(2_000) <= seen.hold && seen.hold < Ns(3_100), "{seen:?}");
        let (low, high) = (Ns(7_000), Ns(7_300));
        let inactive = seen.inactive;
        assert!(salt == 0 || low <= inactive && inactive < high, "{seen:?}");
    }
}

#[test]
fn a_late_frame_does_not_wait_for_the_inactive_delay() {
    let mut rig = Rig::new(NO_DMA);
    let mut wanted = setup(0, 8, 10_000_000);
    wanted.delays.inactive = Ns(5_000);
    let (frame, _) = rig.prepare(&wanted);
    rig.start();
    rig.exchange(0, &frame, 0);
    rig.host.run_until(rig.host.now().after(Ns(20_000)));
    let before = rig.host.now();
    rig.exchange(0, &frame, 1);
    assert!(rig.host.now().since(before) < Ns(9_500));
}

#[test]
fn modes_and_polarities_reach_the_register() {
    let modes = [
        (0, MODE_CPHA, 0b01_00),
        (0, MODE_CPOL, 0b10_00),
        (1, MODE_CPOL | MODE_CPHA, 0b11_01),
        (2, 0, 0b00_10),
        (2, MODE_NO_CS, 0b00_11),
        (2, MODE_CS_HIGH, 1 << 23 | 0b00_10),
    ];
    for (cs, mode, expected) in modes {
        let mut rig = Rig::new(NO_DMA);
        let wanted = oob_spi::controller::Setup {
            mode,
            ..setup(cs, 4, 10_000_000)
        };
        rig.prepare(&wanted);
        rig.start();
        rig.log.borrow_mut().clear();
        rig.run(cs).unwrap();
        // CPHA is bit 2 and CPOL bit 3, above the line's two bits.
        let log = rig.log.borrow();
        let words: Vec<u32> = log.iter().filter(|w| w.0 == CS).map(|w| w.1).collect();
        assert_eq!(words, [expected, expected | 1 << 7, expected | 1 << 16]);
    }
}

#[test]
fn an_idle_line_keeps_its_active_high_polarity() {
    let mut rig = Rig::new(NO_DMA);
    let high = oob_spi::controller::Setup {
        mode: MODE_CS_HIGH,
        ..setup(1, 4, 10_000_000)
    };
    rig.prepare(&high);
    rig.prepare(&setup(0, 4, 10_000_000));
    rig.start();
    rig.log.borrow_mut().clear();
    rig.run(0).unwrap();
    rig.run(1).unwrap();
    let log = rig.log.borrow();
    let mut words = log.iter().filter(|(offset, _)| *offset == CS);
    assert!(words.all(|(_, word)| word & 0b111 << 21 == 1 << 22));
}

#[test]
fn chip_selects_take_turns_at_their_own_speed_and_length() {
    let mut rig = Rig::new(NO_DMA);
    let setups = [
        setup(0, 8, 10_000_000),
        setup(1, 64, 62_500_000),
        setup(2, 100, 2_000_000),
    ];
    let frames = setups.map(|setup| rig.prepare(&setup).0);
    rig.start();
    for turn in 0..12 {
        let cs = (turn * 5 + turn / 3) % 3;
        rig.exchange(cs as u8, &frames[cs], turn);
        let slave = rig.slaves[cs].borrow();
        let byte = slave.dates[1].since(slave.dates[0]).0;
        let expected = [8 * 104, 8 * 16, 8 * 504][cs];
        assert!(byte == expected || cs == 1, "{byte} ns a byte at {cs}");
    }
}

#[test]
fn a_chip_select_that_is_prepared_again_runs_at_its_new_speed() {
    let mut rig = Rig::new(NO_DMA);
    rig.start();
    for (speed, byte) in [(10_000_000, 8 * 104), (5_000_000, 8 * 200)] {
        let (frame, _) = rig.prepare(&setup(0, 24, speed));
        rig.exchange(0, &frame, 0);
        let slave = rig.slaves[0].borrow();
        assert_eq!(slave.dates[9].since(slave.dates[8]), Ns(byte));
        drop(slave);
        rig.spi.terminate(&rig.host.inband(), 0);
    }
}

#[test]
fn a_gpio_line_replaces_the_native_line() {
    let mut rig = Rig::with_line(NO_DMA, Some(0));
    let mut wanted = setup(0, 8, 10_000_000);
    wanted.delays = Delays {
        setup: Ns(2_000),
        hold: Ns(1_000),
        inactive: Ns(4_000),
    };
    let (frame, _) = rig.prepare(&wanted);
    rig.start();
    frame.send(&payload(8, 0));
    rig.line.borrow_mut().clear();
    rig.log.borrow_mut().clear();
    rig.run(0).unwrap();
    rig.run(0).unwrap();
    assert_eq!(rig.board.chip_select(0).selections, 0);
    assert_eq!(frame.received(), [0xff; 8]);
    assert!(
        rig.log
            .borrow()
            .iter()
            .all(|(o, word)| *o != CS || word & 3 == 3)
    );
    let line = rig.line.borrow();
    let levels: Vec<bool> = line.iter().map(|change| change.1).collect();
    assert_eq!(levels, [true, false, true, false]);
    // Set-up, 8 bytes, hold; then at least the inactive delay.
    assert!(line[1].0.since(line[0].0) >= Ns(2_000 + 8 * 8 * 104 + 1_000));
    assert!(line[2].0.since(line[1].0) >= Ns(4_000));
}

#[test]
fn gpio_lines_extend_the_native_chip_selects_without_a_gap() {
    let limits = |line| Rig::with_line(NO_DMA, line).spi.limits().chip_selects;
    // The fourth chip select has to be a GPIO line.
    assert_eq!(limits(None), 3);
    assert_eq!(limits(Some(3)), 4);
    assert_eq!(limits(Some(4)), 3);
}
