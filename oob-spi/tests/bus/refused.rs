// SPDX-License-Identifier: GPL-2.0-only

//! Every refusal of settings, mappings, triggers and stop frames.

use crate::rig::*;
use oob::time::Ns;
use oob_spi::controller::*;
use oob_spi::errno::*;
use oob_spi::request::Owner;
use oob_spi::validate::{Change, Mapping, Settings};
use oobkit_abi::spi as abi;

#[test]
fn settings_change_only_while_off_and_within_the_limits() {
    let rig = Rig::new(Path::Fifo);
    let mut settings = Settings::default();
    let delays = abi::Delays {
        setup_ns: 1,
        hold_ns: 2,
        inactive_ns: 1_000_000,
        reserved: 0,
    };
    let bad = [
        (0, Change::Mode(MODE_CS_HIGH | MODE_CPHA), ConfigError::Mode),
        (0, Change::BitsPerWord(9), ConfigError::BitsPerWord),
        (0, Change::BitsPerWord(33), ConfigError::BitsPerWord),
        (0, Change::Speed(9_999), ConfigError::Speed),
        (
            0,
            Change::Delays(abi::Delays {
                reserved: 1,
                ..delays
            }),
            ConfigError::Reserved,
        ),
        (
            0,
            Change::Delays(abi::Delays {
                inactive_ns: 1_000_001,
                ..delays
            }),
            ConfigError::Delay,
        ),
        (3, Change::Mode(0), ConfigError::NoSuch),
    ];
    for (cs, change, error) in bad {
        assert_eq!(rig.bus.configure(cs, &mut settings, change), Err(error));
        assert_eq!(settings, Settings::default());
    }
    assert_eq!(rig.stats().rejected, 6);
    for change in [
        Change::Mode(3),
        Change::BitsPerWord(16),
        Change::Speed(10_000),
        Change::Delays(delays),
    ] {
        rig.bus.configure(0, &mut settings, change).unwrap();
    }
    assert_eq!(
        (settings.mode, settings.bits_per_word, settings.speed_hz),
        (3, 16, 10_000)
    );
    assert_eq!(settings.delays.inactive, Ns(1_000_000));
    rig.enable(0).unwrap();
    assert_eq!(
        rig.bus.configure(0, &mut settings, Change::Mode(0)),
        Err(ConfigError::On)
    );
}

#[test]
fn each_bad_mapping_has_its_error() {
    let rig = Rig::new(Path::Fifo);
    let good = Mapping {
        offset: 0,
        len: 4096,
        shared: true,
    };
    assert_eq!(rig.bus.check_map(0, ME, &good), Err(MapError::Off));
    rig.enable(0).unwrap();
    assert_eq!(rig.bus.check_map(0, ME, &good), Ok(()));
    let bad = [
        (0, ME, Mapping { len: 8192, ..good }, MapError::TooLong),
        (
            0,
            ME,
            Mapping {
                len: u64::MAX,
                ..good
            },
            MapError::TooLong,
        ),
        (
            0,
            ME,
            Mapping {
                offset: 4096,
                ..good
            },
            MapError::Offset,
        ),
        (
            0,
            ME,
            Mapping {
                shared: false,
                ..good
            },
            MapError::Private,
        ),
        (0, Owner(8), good, MapError::OtherOwner),
        (1, ME, good, MapError::Off),
        (3, ME, good, MapError::NoSuch),
    ];
    for (cs, owner, mapping, error) in bad {
        assert_eq!(rig.bus.check_map(cs, owner, &mapping), Err(error));
    }
}

#[test]
fn each_bad_trigger_has_its_error_and_starts_nothing() {
    let rig = Rig::new(Path::Fifo);
    let good = abi::Trigger {
        kind: abi::TRIGGER_TIMER,
        reserved: 0,
        first_ns: 2_000_000,
        period_ns: 2 * WIRE.0,
    };
    let set =
        |cs, owner, args: &abi::Trigger| rig.bus.set_trigger(&rig.host.inband(), cs, owner, args);
    assert_eq!(set(0, ME, &good), Err(TriggerError::Off));
    rig.enable(0).unwrap();
    let call = abi::Trigger {
        kind: abi::TRIGGER_CALL,
        ..abi::Trigger::default()
    };
    let bad = [
        (abi::Trigger { kind: 2, ..good }, TriggerError::Kind),
        (
            abi::Trigger {
                reserved: 1,
                ..good
            },
            TriggerError::Reserved,
        ),
        (
            abi::Trigger {
                period_ns: 2 * WIRE.0 - 1,
                ..good
            },
            TriggerError::Period,
        ),
        (
            abi::Trigger {
                period_ns: 0,
                ..good
            },
            TriggerError::Period,
        ),
        (
            abi::Trigger {
                period_ns: u64::MAX,
                ..good
            },
            TriggerError::Period,
        ),
        (
            abi::Trigger {
                first_ns: 1 << 63,
                ..good
            },
            TriggerError::First,
        ),
        (
            abi::Trigger {
                first_ns: 1,
                ..call
            },
            TriggerError::Reserved,
        ),
        (
            abi::Trigger {
                period_ns: 1,
                ..call
            },
            TriggerError::Reserved,
        ),
    ];
    for (args, error) in bad {
        assert_eq!(set(0, ME, &args), Err(error));
    }
    assert_eq!(set(0, Owner(8), &good), Err(TriggerError::OtherOwner));
    assert_eq!(set(1, ME, &good), Err(TriggerError::Off));
    rig.pass(Ns(5_000_000));
    assert!(rig.hardware.pulses().is_empty());
    // A frame of one byte at 50 MHz takes 160 ns, so the timer's own bound applies.
    let short = abi::Enable {
        frame_len: 1,
        speed_hz: 50_000_000,
        ..enable_args()
    };
    rig.enable_as(1, ME, &short).unwrap();
    let fast = abi::Trigger {
        period_ns: 19_999,
        ..good
    };
    assert_eq!(set(1, ME, &fast), Err(TriggerError::Period));
}

#[test]
fn each_bad_stop_has_its_error_and_arms_nothing() {
    let rig = Rig::new(Path::Fifo);
    let good = abi::Stop {
        miss_limit: 1,
        reserved: 0,
        period_ns: 1_000_000,
    };
    let set = |cs, owner, args: &abi::Stop| rig.bus.set_stop(&rig.host.inband(), cs, owner, args);
    assert_eq!(set(0, ME, &good), Err(StopError::Off));
    rig.enable(0).unwrap();
    let bad = [
        (
            abi::Stop {
                reserved: 1,
                ..good
            },
            StopError::Reserved,
        ),
        (
            abi::Stop {
                miss_limit: 0,
                ..good
            },
            StopError::NoLimit,
        ),
        (
            abi::Stop {
                period_ns: 19_999,
                ..good
            },
            StopError::Period,
        ),
        (
            abi::Stop {
                period_ns: u64::MAX,
                ..good
            },
            StopError::Period,
        ),
    ];
    for (args, error) in bad {
        assert_eq!(set(0, ME, &args), Err(error));
    }
    assert_eq!(set(0, Owner(8), &good), Err(StopError::OtherOwner));
    rig.pass(Ns(50_000_000));
    rig.bus.close(&rig.host.inband(), 0, ME);
    assert!(rig.hardware.pulses().is_empty(), "no stop frame was set");
}
