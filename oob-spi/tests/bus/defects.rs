// SPDX-License-Identifier: GPL-2.0-only

//! Twelve known defects of published out-of-band SPI drivers, and the tests that keep them out. A
//! test is below if the defect could be in this layer; otherwise the list says where it is. Each
//! test failed when the code was changed as the list says.
//!
//! Each entry: the defect, its test, the change with which that test failed.
//!
//! 1. A completion that comes before the wait is lost. Test: `defect_1_*`. Change: the completion
//!    forgotten.
//! 2. RUN has no time limit. Test: `defect_2_*` (two). Change: no end of the wait; any completion
//!    ends any frame.
//! 3. DMA is prepared before the bus is claimed, and undone on channels in use. Test: `defect_3_*`.
//!    Change: the gate's refusal ignored.
//! 4. The bus's lock word is cleared outside of its lock. Test: `tests/model`: the gate's test, by
//!    loom. Change: a plain store of the word.
//! 5. A mapping outlives the memory that DISABLE frees. Test: `guest-tests`, theme `life`: "a
//!    mapping outlives DISABLE". Change: a mapping that does not own the buffer.
//! 6. Mmap ignores its offset. Test: `defect_6_*`. Change: the offset is not checked.
//! 7. A second open resets the shared state. Test: `defect_7_*`; `life`: "a second open file of the
//!    process shares oob mode". Change: every caller counts as the owner.
//! 8. The number of bytes that were not copied is returned as the errno, or is ignored. Test:
//!    `guest-tests`, theme `refused`: "calls return EFAULT for arguments at bad addresses", "ENABLE
//!    returns EFAULT and leaves oob mode off when its result cannot be written", "RUN_LIST sends
//!    nothing when its statuses cannot be written". Change: that number ignored, in-band and
//!    out-of-band; returned as the errno.
//! 9. An in-band call blocks with a lock held that DISABLE needs. Test: `defect_9_*`. Change:
//!    nobody is told that the gate has opened.
//! 10. Nobody drives the chip select. Test: `defect_10_*`; `bcm2835`:
//!     `a_gpio_line_replaces_the_native_line`, `modes_and_polarities_reach_the_register`. Change:
//!     the delays dropped; the line never driven; the native one never selected.
//! 11. RX stays armed where TX cannot be started. Test: `defect_11_*`; `bcm2835`:
//!     `a_tx_request_that_never_comes_is_survived`. Change: the claim kept after a failure; the RX
//!     channel not aborted.
//! 12. A channel stays prepared where the other's preparation fails. Test: `defect_12_*`;
//!     `bcm2835`: `impossible_set_ups_are_refused_and_change_nothing`,
//!     `frame_memory_that_dma_cannot_reach_is_refused`. Change: the gate kept after a failure; the
//!     former set-up dropped before the checks; a chip select prepared without its descriptors.

use crate::rig::*;
use oob::time::{Clock, Instant, Ns};
use oob_spi::controller::*;
use oob_spi::errno::*;
use oob_spi::request::Owner;
use oob_spi::validate::{Change, Mapping};
use oobkit_abi::spi as abi;

/// Failed when the completion was forgotten between `pulse` and the wait (the phase set back to
/// InFlight in `exchange_asleep`), which is the effect of an event that is not latched: RUN ended
/// in `Stuck`.
#[test]
fn defect_1_a_completion_before_the_wait_is_not_lost() {
    let rig = Rig::on(Path::Dma);
    rig.script([Frame::AtOnce]);
    let before = rig.host.now();
    rig.run().unwrap();
    assert_eq!(rig.host.now(), before);
}

/// Failed with `Instant::NEVER` for the end of the wait in `call_frame`: nothing ends the wait.
#[test]
fn defect_2_a_lost_completion_ends_run_and_the_next_one_works() {
    let rig = Rig::on(Path::Dma);
    rig.script([Frame::Stuck]);
    let before = rig.host.now();
    assert_eq!(rig.run(), Err(RunError::Stuck));
    assert_eq!(rig.host.now().since(before), Ns(2 * WIRE.0 + 10_000_000));
    let log = rig.hardware.log.borrow().clone();
    assert_eq!(log.last(), Some(&Did::Finish(0, Outcome::TimedOut)));
    rig.run().unwrap();
    assert_eq!((rig.stats().timeouts, rig.stats().frames), (1, 1));
}

/// Failed without `if_held_up`, and without the last nap: `Stuck`, and no stop frame counted.
#[test]
fn defect_2_a_machine_that_is_held_up_beyond_the_limit_loses_no_completion() {
    let rig = Rig::on(Path::Dma);
    // The machine is held up until 2 ms after the limit. An interrupt that waits for the machine
    // comes half a millisecond later.
    let limit = 2 * WIRE.0 + 10_000_000;
    let hold_up = || rig.bus.env().held_up.set(Ns(limit + 2_000_000));
    rig.script([Frame::Late(Ns(limit + 2_500_000))]);
    hold_up();
    rig.run().unwrap();
    rig.script([Frame::Stuck]);
    hold_up();
    assert_eq!(rig.run(), Err(RunError::Stuck));
    rig.set_stop(0, Ns(0));
    hold_up();
    rig.bus.close(&rig.host.inband(), 0, ME);
    let stats = rig.stats();
    assert_eq!((stats.frames, stats.timeouts, stats.stops), (1, 1, 1));
}

/// Failed when `interrupt` completed the frame in flight without reading the status, and with `if`
/// instead of a loop around the phase in `call_frame`.
#[test]
fn defect_2_a_late_completion_does_not_end_the_next_frame() {
    let rig = Rig::on(Path::Dma);
    let limit = Ns(2 * WIRE.0 + 10_000_000);
    // The interrupt of the first frame comes in the middle of the second frame.
    rig.script([Frame::Ghost(Ns(limit.0 + WIRE.0 / 2)), Frame::Good]);
    assert_eq!(rig.run(), Err(RunError::Stuck));
    let before = rig.host.now();
    rig.run().unwrap();
    assert_eq!(rig.host.now().since(before), WIRE);
    // A wake-up that was latched for an earlier frame does not end it either.
    use oob_spi::env::Env;
    oob::wait::Flag::raise(rig.bus.env().flag(0));
    let before = rig.host.now();
    rig.run().unwrap();
    assert_eq!(rig.host.now().since(before), WIRE);
}

/// Failed when the gate's refusal was ignored, and when the memory was made before the gate was
/// entered.
#[test]
fn defect_3_nothing_is_prepared_before_the_bus_is_entered() {
    let rig = Rig::new(Path::Dma);
    assert!(rig.bus.gate().try_enter_inband());
    assert_eq!(rig.enable(0), Err(EnableError::BusHeld));
    assert!(rig.hardware.log.borrow().is_empty());
    assert!(rig.blocks.borrow().is_empty());
    // The message continues undisturbed, and others follow it.
    rig.bus.gate().exit_inband();
    assert!(rig.bus.gate().try_enter_inband());
}

/// Failed without the check of `offset` in `check_map`.
#[test]
fn defect_6_a_mapping_at_an_offset_is_refused() {
    let rig = Rig::on(Path::Fifo);
    for offset in [1, 4096, 8192, u64::MAX] {
        let mapping = Mapping {
            offset,
            len: 4096,
            shared: true,
        };
        assert_eq!(rig.bus.check_map(0, ME, &mapping), Err(MapError::Offset));
    }
}

/// Failed when `is_owned_by` always returned `true`.
#[test]
fn defect_7_a_second_user_of_the_device_disturbs_nothing() {
    let rig = Rig::on(Path::Dma);
    let other = Owner(8);
    rig.set_stop(2, Ns(0));
    rig.set_timer(0, Instant(2_000_000), Ns(1_000_000));
    rig.run().unwrap();
    let inband = rig.host.inband();
    let before = rig.stats();
    assert_eq!(
        rig.enable_as(0, other, &enable_args()),
        Err(EnableError::On)
    );
    assert_eq!(
        rig.bus.disable(&inband, 0, other),
        Err(StateError::OtherOwner)
    );
    assert_eq!(
        rig.bus.run(&rig.host.oob(), 0, other),
        Err(RunError::OtherOwner)
    );
    let stop = abi::Stop::default();
    assert_eq!(
        rig.bus.set_stop(&inband, 0, other, &stop),
        Err(StopError::OtherOwner)
    );
    let trigger = abi::Trigger::default();
    assert_eq!(
        rig.bus.set_trigger(&inband, 0, other, &trigger),
        Err(TriggerError::OtherOwner)
    );
    let mapping = Mapping {
        offset: 0,
        len: 4096,
        shared: true,
    };
    assert_eq!(
        rig.bus.check_map(0, other, &mapping),
        Err(MapError::OtherOwner)
    );
    rig.bus.close(&inband, 0, other);
    assert_eq!(
        rig.stats(),
        abi::Stats {
            rejected: before.rejected + 6,
            ..before
        }
    );
    rig.run().unwrap();
    assert_eq!(rig.host.now(), Instant(3_000_000 + WIRE.0));
}

/// Failed when `OobMode::leave` did not call `gate_opened`, and when `configure` waited for the
/// gate.
#[test]
fn defect_9_inband_calls_never_block_and_never_keep_disable_out() {
    let rig = Rig::on(Path::Dma);
    let before = rig.host.now();
    assert!(
        !rig.bus.gate().try_enter_inband(),
        "the message waits outside of any lock"
    );
    let mut settings = rig.settings.get();
    assert_eq!(
        rig.bus.configure(0, &mut settings, Change::Mode(0)),
        Err(ConfigError::On)
    );
    assert!(rig.bus.info(0).is_ok());
    assert_eq!(rig.host.now(), before);
    rig.disable();
    assert_eq!(
        rig.bus.env().opened.get(),
        1,
        "the waiting message is woken"
    );
    assert!(rig.bus.gate().try_enter_inband());
}

/// Failed when `plan` left the delays at their default.
#[test]
fn defect_10_the_chip_select_reaches_the_controller_with_its_polarity_and_delays() {
    let rig = Rig::new(Path::Fifo);
    let mut settings = rig.settings.get();
    let delays = abi::Delays {
        setup_ns: 10,
        hold_ns: 20,
        inactive_ns: 30,
        reserved: 0,
    };
    rig.bus
        .configure(2, &mut settings, Change::Mode(MODE_CPOL))
        .unwrap();
    rig.bus
        .configure(2, &mut settings, Change::Delays(delays))
        .unwrap();
    rig.settings.set(settings);
    rig.enable(2).unwrap();
    let setup = rig.hardware.setups.borrow()[0];
    assert_eq!((setup.chip_select, setup.mode), (2, MODE_CPOL));
    assert_eq!(
        (setup.delays.setup, setup.delays.hold, setup.delays.inactive),
        (Ns(10), Ns(20), Ns(30))
    );
    rig.bus.run(&rig.host.oob(), 2, ME).unwrap();
    assert_eq!(rig.hardware.pulses(), [(2, FrameKind::Regular)]);
}

/// Failed when `try_run` returned a frame's error before `release`: the bus stayed busy for ever.
#[test]
fn defect_11_a_pulse_that_fails_leaves_nothing_in_flight() {
    let rig = Rig::on(Path::Dma);
    rig.script([Frame::Refused(TransferError::Bus), Frame::Good]);
    assert_eq!(rig.run(), Err(RunError::Bus));
    // A late completion of its half belongs to no frame.
    rig.hardware.done.set(true);
    let interrupt = rig.hardware.interrupt.borrow().clone().unwrap();
    interrupt();
    let before = rig.host.now();
    rig.run().unwrap();
    assert_eq!(rig.host.now().since(before), WIRE);
    rig.disable();
}

/// Failed without `OobMode::cancel` after a failure in `try_enable`.
#[test]
fn defect_12_a_set_up_that_fails_halfway_is_undone() {
    let rig = Rig::new(Path::Dma);
    rig.hardware.prepare.set(Some(PrepareError::NoDma));
    assert_eq!(rig.enable(0), Err(EnableError::NoDma));
    assert_eq!(
        *rig.hardware.log.borrow(),
        [Did::Prepare(0)],
        "never started"
    );
    assert_eq!(rig.run(), Err(RunError::Off));
    assert!(rig.bus.gate().try_enter_inband());
    rig.bus.gate().exit_inband();
    rig.hardware.prepare.set(None);
    rig.enable(0).unwrap();
    rig.run().unwrap();
}
