// SPDX-License-Identifier: GPL-2.0-only

//! ENABLE to DISABLE, and every refusal of ENABLE.

use crate::rig::*;
use oob::time::{Clock, Instant, Ns};
use oob_spi::controller::*;
use oob_spi::errno::*;
use oob_spi::request::Owner;
use oob_spi::validate::{Change, Settings};
use oobkit_abi::spi as abi;

#[test]
fn enable_returns_the_offsets_and_info_the_parameters() {
    let rig = Rig::new(Path::Dma);
    let out = rig.enable(0).unwrap();
    assert_eq!((out.iobuf_len, out.tx_offset, out.rx_offset), (128, 64, 0));
    assert_eq!(*rig.blocks.borrow(), [8192]);
    assert_eq!(*rig.hardware.log.borrow(), [Did::Prepare(0), Did::Start]);
    let info = rig.bus.info(0).unwrap();
    assert_eq!((info.effective_hz, info.path), (1_000_000, abi::PATH_DMA));
    assert_eq!(
        (info.wire_ns, info.limit_ns),
        (WIRE.0, 2 * WIRE.0 + 10_000_000)
    );
    assert!(rig.bus.gate().is_oob());
    rig.disable();
    assert!(!rig.bus.gate().is_oob());
    assert_eq!(
        rig.hardware.log.borrow()[2..],
        [Did::Terminate(0), Did::Stop]
    );
    assert_eq!(rig.bus.info(0), Err(StateError::Off));
}

#[test]
fn each_bad_enable_has_its_error_and_changes_nothing() {
    let good = enable_args();
    let cases: &[(abi::Enable, Settings, u8, EnableError)] = &[
        (
            abi::Enable {
                frame_len: 0,
                ..good
            },
            Settings::default(),
            0,
            EnableError::FrameEmpty,
        ),
        (
            abi::Enable {
                frame_len: 65_533,
                ..good
            },
            Settings::default(),
            0,
            EnableError::FrameTooLong,
        ),
        (
            abi::Enable {
                frame_len: u32::MAX,
                ..good
            },
            Settings::default(),
            0,
            EnableError::FrameTooLong,
        ),
        (
            abi::Enable {
                bits_per_word: 16,
                frame_len: 15,
                ..good
            },
            Settings::default(),
            0,
            EnableError::FrameNotWords,
        ),
        (
            abi::Enable {
                bits_per_word: 32,
                frame_len: 18,
                ..good
            },
            Settings::default(),
            0,
            EnableError::FrameNotWords,
        ),
        (
            abi::Enable {
                bits_per_word: 9,
                ..good
            },
            Settings::default(),
            0,
            EnableError::BitsPerWord,
        ),
        (
            abi::Enable {
                bits_per_word: 255,
                ..good
            },
            Settings::default(),
            0,
            EnableError::BitsPerWord,
        ),
        (
            good,
            Settings {
                mode: MODE_CS_HIGH,
                ..Settings::default()
            },
            0,
            EnableError::Mode,
        ),
        (
            abi::Enable {
                speed_hz: 9_999,
                ..good
            },
            Settings::default(),
            0,
            EnableError::Speed,
        ),
        (good, Settings::default(), 3, EnableError::NoSuch),
        (good, Settings::default(), 255, EnableError::NoSuch),
    ];
    for (args, settings, cs, error) in cases {
        let rig = Rig::new(Path::Fifo);
        rig.settings.set(*settings);
        assert_eq!(rig.enable_as(*cs, ME, args), Err(*error));
        assert!(rig.hardware.log.borrow().is_empty());
        assert!(rig.blocks.borrow().is_empty());
        assert!(
            rig.bus.gate().try_enter_inband(),
            "{error:?} left the gate closed"
        );
        let counted = u64::from(*cs < 3);
        assert_eq!(rig.bus.stats(*cs).rejected, counted);
        rig.bus.gate().exit_inband();
        rig.settings.set(Settings::default());
        rig.enable(0).unwrap();
    }
}

#[test]
fn a_faster_clock_is_capped_and_zeroes_mean_the_devices_settings() {
    let rig = Rig::new(Path::Fifo);
    let args = abi::Enable {
        speed_hz: u32::MAX,
        ..enable_args()
    };
    rig.enable_as(0, ME, &args).unwrap();
    assert_eq!(rig.bus.info(0).unwrap().effective_hz, LIMITS.max_speed_hz);
    rig.disable();
    rig.settings.set(Settings {
        speed_hz: 20_000,
        ..Settings::default()
    });
    rig.enable_as(
        0,
        ME,
        &abi::Enable {
            speed_hz: 0,
            ..args
        },
    )
    .unwrap();
    assert_eq!(rig.bus.info(0).unwrap().effective_hz, 20_000);
}

#[test]
fn enable_twice_is_busy_and_another_owner_is_refused() {
    let rig = Rig::on(Path::Fifo);
    assert_eq!(rig.enable(0), Err(EnableError::On));
    assert_eq!(
        rig.enable_as(0, Owner(8), &enable_args()),
        Err(EnableError::On)
    );
    assert_eq!(
        rig.enable_as(1, Owner(8), &enable_args()),
        Err(EnableError::OtherOwner)
    );
    assert_eq!(rig.hardware.log.borrow().len(), 2);
    rig.run().unwrap();
    assert_eq!(
        rig.bus.disable(&rig.host.inband(), 0, Owner(8)),
        Err(StateError::OtherOwner)
    );
    assert_eq!(
        rig.bus.run(&rig.host.oob(), 0, Owner(8)),
        Err(RunError::OtherOwner)
    );
    rig.bus.close(&rig.host.inband(), 0, Owner(8));
    rig.run().unwrap();
    assert_eq!(rig.stats().rejected, 4);
}

#[test]
fn several_chip_selects_start_the_controller_once_and_stop_it_last() {
    let rig = Rig::on(Path::Fifo);
    rig.enable(2).unwrap();
    rig.disable();
    assert!(rig.bus.gate().is_oob());
    rig.bus.run(&rig.host.oob(), 2, ME).unwrap();
    rig.bus.disable(&rig.host.inband(), 2, ME).unwrap();
    assert!(!rig.bus.gate().is_oob());
    use Did::*;
    let all = [
        Prepare(0),
        Start,
        Prepare(2),
        Terminate(0),
        Pulse(2, FrameKind::Regular),
        Terminate(2),
        Stop,
    ];
    assert_eq!(*rig.hardware.log.borrow(), all);
}

#[test]
fn enable_waits_for_a_message_and_gives_up_after_its_limit() {
    let rig = Rig::new(Path::Fifo);
    assert!(rig.bus.gate().try_enter_inband());
    assert_eq!(rig.enable(0), Err(EnableError::BusHeld));
    assert!(rig.host.now() >= Instant(1_000_000));
    assert_eq!(
        rig.bus.env().opened.get(),
        1,
        "messages that gave way must be woken"
    );
    let bus = rig.bus.clone();
    rig.host.at(rig.host.now().after(Ns(500_000)), move || {
        assert!(bus.gate().exit_inband());
    });
    rig.enable(0).unwrap();
    assert!(!rig.bus.gate().try_enter_inband());
    rig.disable();
    assert!(rig.bus.gate().try_enter_inband());
}

#[test]
fn a_failure_after_the_gate_leaves_the_gate_open() {
    for (error, want) in [
        (PrepareError::NoDma, EnableError::NoDma),
        (PrepareError::Speed, EnableError::Speed),
    ] {
        let rig = Rig::new(Path::Dma);
        rig.hardware.prepare.set(Some(error));
        assert_eq!(rig.enable(0), Err(want));
        assert_eq!(*rig.hardware.log.borrow(), [Did::Prepare(0)]);
        assert!(!rig.bus.gate().is_oob());
        rig.hardware.prepare.set(None);
        rig.enable(0).unwrap();
    }
    let rig = Rig::new(Path::Dma);
    let refused = rig.enable_with(0, ME, &enable_args(), |_| Err(EnableError::NoMemory));
    assert_eq!(refused, Err(EnableError::NoMemory));
    assert!(rig.hardware.log.borrow().is_empty());
    assert!(!rig.bus.gate().is_oob());
    rig.enable(0).unwrap();
    // The second chip select's failure does not end the first one's oob mode.
    rig.hardware.prepare.set(Some(PrepareError::NoDma));
    assert_eq!(rig.enable(1), Err(EnableError::NoDma));
    assert!(rig.bus.gate().is_oob());
    rig.run().unwrap();
}

#[test]
fn after_shutdown_every_call_is_refused_and_the_controller_is_not_touched() {
    let rig = Rig::on(Path::Dma);
    rig.set_stop(0, Ns(0));
    rig.bus.shutdown(&rig.host.inband());
    use Did::*;
    let end = [
        Pulse(0, FrameKind::Stop),
        Finish(0, Outcome::Signalled),
        Terminate(0),
        Stop,
    ];
    assert_eq!(rig.hardware.log.borrow()[2..], end);
    assert_eq!(rig.run(), Err(RunError::Gone));
    assert_eq!(rig.enable(0), Err(EnableError::Gone));
    assert_eq!(rig.enable(1), Err(EnableError::Gone));
    assert_eq!(rig.bus.info(0), Err(StateError::Gone));
    assert_eq!(
        rig.bus.disable(&rig.host.inband(), 0, ME),
        Err(StateError::Gone)
    );
    let mut settings = Settings::default();
    assert_eq!(
        rig.bus.configure(0, &mut settings, Change::Mode(0)),
        Err(ConfigError::Gone)
    );
    rig.bus.close(&rig.host.inband(), 0, ME);
    rig.bus.shutdown(&rig.host.inband());
    assert_eq!(rig.hardware.log.borrow().len(), 6);
    assert!(!rig.bus.gate().is_oob());
}

#[test]
fn frames_of_more_than_two_seconds_are_refused_and_the_bus_stays_free() {
    let rig = Rig::new(Path::Dma);
    let args = abi::Enable {
        frame_len: 65_532,
        speed_hz: 200_000,
        ..enable_args()
    };
    assert_eq!(rig.enable_as(0, ME, &args), Err(EnableError::TooSlow));
    use Did::*;
    assert_eq!(*rig.hardware.log.borrow(), [Prepare(0), Terminate(0)]);
    assert!(rig.bus.gate().try_enter_inband());
    rig.bus.gate().exit_inband();
    let args = abi::Enable {
        speed_hz: 300_000,
        ..args
    };
    rig.enable_as(0, ME, &args).unwrap();
}
