// SPDX-License-Identifier: GPL-2.0-only

//! Every check of a user's arguments, in one place; pure.
//!
//! ```text
//!  WR_*, SET_DELAYS --> Settings --+
//!                                  v
//!  ENABLE argument -----------> plan() --> Plan { Setup for the controller, Layout of the memory }
//!  SET_TRIGGER, SET_STOP, mmap --> check_*()
//! ```

use crate::controller::{Delays, Limits, Setup};
use crate::errno::{ConfigError, EnableError, ListRefused, MapError, StopError, TriggerError};
use crate::layout::{Geometry, Layout, layout};
use oob::time::{Instant, Ns};
use oobkit_abi::spi as abi;

/// Longest delay around the chip select. A thread sleeps through a long one. A handler spins for at
/// most [`MAX_SPIN`] in all.
pub const MAX_DELAY: Ns = Ns(1_000_000);
/// Shortest period of a timer: a shorter one would leave the processor no time for other work.
pub const MIN_PERIOD: Ns = Ns(20_000);
/// Longest period of a timer.
pub const MAX_PERIOD: Ns = Ns(3_600_000_000_000);

/// Longest time of a frame on the wire. A lost completion holds up the waiter for [`time_limit`] of
/// it.
pub const MAX_WIRE: Ns = Ns(2_000_000_000);
/// Longest that a handler may spin for a frame that it sends, a timer's or a stop frame, whatever
/// the hardware does. On the FIFO path that is the whole frame; on the DMA path, the chip select's
/// delays and the end of the transfer.
pub const MAX_SPIN: Ns = Ns(200_000);

/// Longest time from a frame's start to its end: twice its time on the wire, and 10 ms.
///
/// 10 ms are far above the jitter of a completion interrupt, on an emulated machine, too. So a
/// frame that is late does not count as stuck, and a lost completion costs a bounded time. A
/// program that must react sooner sets a watch-dog (`SET_STOP`): once that trips, no thread waits
/// for the frame any more.
pub const fn time_limit(wire: Ns) -> Ns {
    Ns(wire.0.saturating_mul(2).saturating_add(10_000_000))
}

/// What the ordinary ioctls of spidev set, for the next ENABLE.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// `MODE_*` bits.
    pub mode: u32,
    /// Bits per word; 0 means 8.
    pub bits_per_word: u8,
    /// Clock, in Hz; 0 means the controller's highest.
    pub speed_hz: u32,
    /// Delays around the chip select.
    pub delays: Delays,
}

/// One change of [`Settings`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// WR_MODE, WR_MODE32.
    Mode(u32),
    /// WR_BITS_PER_WORD.
    BitsPerWord(u8),
    /// WR_MAX_SPEED_HZ.
    Speed(u32),
    /// SET_DELAYS.
    Delays(abi::Delays),
}

/// What ENABLE is going to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// For the controller.
    pub setup: Setup,
    /// For the memory.
    pub layout: Layout,
}

const fn has_word(limits: &Limits, bits: u8) -> bool {
    match bits.checked_sub(1) {
        Some(n) if n < 32 => limits.word_bits & (1 << n) != 0,
        _ => false,
    }
}

const fn word_len(bits: u8) -> u32 {
    match bits {
        0..=8 => 1,
        9..=16 => 2,
        _ => 4,
    }
}

impl Settings {
    /// The settings with `change` applied.
    ///
    /// # Errors
    ///
    /// See [`ConfigError`].
    pub fn changed(self, limits: &Limits, change: Change) -> Result<Self, ConfigError> {
        match change {
            Change::Mode(mode) if mode & !limits.modes != 0 => Err(ConfigError::Mode),
            Change::Mode(mode) => Ok(Self { mode, ..self }),
            Change::BitsPerWord(bits) if bits != 0 && !has_word(limits, bits) => {
                Err(ConfigError::BitsPerWord)
            }
            Change::BitsPerWord(bits_per_word) => Ok(Self {
                bits_per_word,
                ..self
            }),
            Change::Speed(hz) if hz < limits.min_speed_hz => Err(ConfigError::Speed),
            Change::Speed(speed_hz) => Ok(Self { speed_hz, ..self }),
            Change::Delays(delays) if delays.reserved != 0 => Err(ConfigError::Reserved),
            Change::Delays(delays) => {
                let spans = [delays.setup_ns, delays.hold_ns, delays.inactive_ns];
                if spans.iter().any(|ns| u64::from(*ns) > MAX_DELAY.0) {
                    return Err(ConfigError::Delay);
                }
                let [setup, hold, inactive] = spans.map(|ns| Ns(u64::from(ns)));
                Ok(Self {
                    delays: Delays {
                        setup,
                        hold,
                        inactive,
                    },
                    ..self
                })
            }
        }
    }
}

/// Checks ENABLE's argument against the device's settings and the controller's limits.
///
/// # Errors
///
/// See [`EnableError`].
pub fn plan(
    limits: &Limits,
    geometry: Geometry,
    chip_select: u8,
    settings: &Settings,
    args: &abi::Enable,
) -> Result<Plan, EnableError> {
    if chip_select >= limits.chip_selects {
        return Err(EnableError::NoSuch);
    }
    let bits_per_word = match (args.bits_per_word, settings.bits_per_word) {
        (0, 0) => 8,
        (0, bits) | (bits, _) => bits,
    };
    let speed_hz = match (args.speed_hz, settings.speed_hz) {
        (0, 0) => limits.max_speed_hz,
        (0, hz) | (hz, _) => hz.min(limits.max_speed_hz),
    };
    if !has_word(limits, bits_per_word) {
        return Err(EnableError::BitsPerWord);
    }
    if settings.mode & !limits.modes != 0 {
        return Err(EnableError::Mode);
    }
    if speed_hz < limits.min_speed_hz || speed_hz == 0 {
        return Err(EnableError::Speed);
    }
    if args.frame_len == 0 {
        return Err(EnableError::FrameEmpty);
    }
    if args.frame_len > limits.max_frame_len {
        return Err(EnableError::FrameTooLong);
    }
    if !args.frame_len.is_multiple_of(word_len(bits_per_word)) {
        return Err(EnableError::FrameNotWords);
    }
    Ok(Plan {
        setup: Setup {
            chip_select,
            mode: settings.mode,
            speed_hz,
            bits_per_word,
            frame_len: args.frame_len,
            delays: settings.delays,
        },
        layout: layout(args.frame_len, geometry).ok_or(EnableError::FrameTooLong)?,
    })
}

fn is_period(period: Ns, wire: Ns) -> bool {
    let shortest = MIN_PERIOD.0.max(wire.0.saturating_mul(2));
    (shortest..=MAX_PERIOD.0).contains(&period.0)
}

/// What starts a chip select's frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// The exchange call.
    Call,
    /// A timer.
    Timer {
        /// Date of the first frame.
        first: Instant,
        /// From one frame to the next.
        period: Ns,
    },
}

/// Checks SET_TRIGGER's argument. `wire` is the time of one frame, `spin` the longest that a
/// handler spins for it.
///
/// # Errors
///
/// See [`TriggerError`].
pub fn check_trigger(args: &abi::Trigger, wire: Ns, spin: Ns) -> Result<Trigger, TriggerError> {
    if args.reserved != 0 {
        return Err(TriggerError::Reserved);
    }
    match args.kind {
        abi::TRIGGER_CALL if args.first_ns != 0 || args.period_ns != 0 => {
            Err(TriggerError::Reserved)
        }
        abi::TRIGGER_CALL => Ok(Trigger::Call),
        abi::TRIGGER_TIMER if !is_period(Ns(args.period_ns), wire) => Err(TriggerError::Period),
        abi::TRIGGER_TIMER if spin > MAX_SPIN => Err(TriggerError::Spins),
        abi::TRIGGER_TIMER if i64::try_from(args.first_ns).is_err() => Err(TriggerError::First),
        abi::TRIGGER_TIMER => Ok(Trigger::Timer {
            first: Instant(args.first_ns),
            period: Ns(args.period_ns),
        }),
        _ => Err(TriggerError::Kind),
    }
}

/// Checks SET_STOP's argument. `wire` is the time of one frame, `spin` the longest that a handler
/// spins for it.
///
/// A stop frame without a miss limit is sent in-band, when its owner leaves. With a miss limit, any
/// handler that holds the claim when the fail-safe trips may have to send it, so `spin` is limited.
///
/// # Errors
///
/// See [`StopError`].
pub fn check_stop(args: &abi::Stop, wire: Ns, spin: Ns) -> Result<(), StopError> {
    if args.reserved != 0 {
        return Err(StopError::Reserved);
    }
    if args.period_ns != 0 {
        if args.miss_limit == 0 {
            return Err(StopError::NoLimit);
        }
        if !is_period(Ns(args.period_ns), wire) {
            return Err(StopError::Period);
        }
    }
    if args.miss_limit != 0 && spin > MAX_SPIN {
        return Err(StopError::Spins);
    }
    Ok(())
}

/// The used entries of a list.
///
/// # Errors
///
/// See [`ListRefused`].
pub fn check_list(list: &mut abi::RunList) -> Result<&mut [abi::ListEntry], ListRefused> {
    if list.count == 0 {
        return Err(ListRefused::Empty);
    }
    let count = usize::try_from(list.count).unwrap_or(usize::MAX);
    list.entries.get_mut(..count).ok_or(ListRefused::TooMany)
}

/// The arguments of mmap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// Offset in the file, in bytes.
    pub offset: u64,
    /// Bytes, in whole pages.
    pub len: u64,
    /// `MAP_SHARED`.
    pub shared: bool,
}

/// Checks a mapping of a buffer of which `mappable` bytes may be mapped.
///
/// # Errors
///
/// See [`MapError`].
pub fn check_map(mapping: &Mapping, mappable: u32) -> Result<(), MapError> {
    if mapping.offset != 0 {
        return Err(MapError::Offset);
    }
    if mapping.len > u64::from(mappable) {
        return Err(MapError::TooLong);
    }
    if !mapping.shared {
        return Err(MapError::Private);
    }
    Ok(())
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use zerocopy::FromBytes;

    const GEOMETRY: Geometry = Geometry {
        align: 64,
        page: 4096,
    };

    fn limits() -> impl Strategy<Value = Limits> {
        let speeds = (0_u32..100_000, 0_u32..100_000_000);
        (0_u8..9, any::<u32>(), speeds, any::<u32>(), any::<u32>()).prop_map(
            |(chip_selects, max_frame_len, (low, above), word_bits, modes)| Limits {
                chip_selects,
                max_frame_len,
                min_speed_hz: low,
                max_speed_hz: low.saturating_add(above),
                word_bits,
                modes,
            },
        )
    }

    proptest! {
        #[test]
        fn a_plan_keeps_to_the_controllers_limits(
            limits in limits(),
            bytes in any::<[u8; 24]>(),
            (whole, small) in any::<(bool, bool)>(),
            (mode, bits_per_word, speed_hz) in (0_u32..256, 0_u8..34, 0_u32..200_000_000),
            chip_select in 0_u8..9,
        ) {
            let mut args = abi::Enable::read_from_bytes(&bytes).unwrap();
            // Random bytes hardly ever pass all checks, so narrow some of them.
            if whole { args.bits_per_word %= 34; }
            if small { args.frame_len %= 100_000; args.speed_hz %= 200_000_000; }
            let settings = Settings { mode, bits_per_word, speed_hz, delays: Delays::default() };
            if let Ok(plan) = plan(&limits, GEOMETRY, chip_select, &settings, &args) {
                let setup = plan.setup;
                prop_assert!(setup.chip_select < limits.chip_selects);
                prop_assert!((1..=limits.max_frame_len).contains(&setup.frame_len));
                prop_assert!((limits.min_speed_hz..=limits.max_speed_hz).contains(&setup.speed_hz));
                prop_assert!(limits.word_bits & (1 << (setup.bits_per_word - 1)) != 0);
                prop_assert_eq!(setup.mode & !limits.modes, 0);
                let word = u32::from(setup.bits_per_word).div_ceil(8).next_power_of_two();
                prop_assert_eq!(setup.frame_len % word, 0);
                prop_assert_eq!(plan.layout.tx_offset, setup.frame_len.next_multiple_of(64));
            }
        }

        #[test]
        fn an_accepted_trigger_or_stop_is_within_its_bounds(
            trigger in any::<[u8; 24]>(),
            stop in any::<[u8; 16]>(),
            kind in 0_u32..3,
            wire in any::<u64>(),
            spin in 0..2 * MAX_SPIN.0,
        ) {
            let mut trigger = abi::Trigger::read_from_bytes(&trigger).unwrap();
            (trigger.kind, trigger.reserved) = (kind, 0);
            trigger.period_ns >>= trigger.period_ns % 64;
            if let Ok(Trigger::Timer { first, period }) = check_trigger(&trigger, Ns(wire), Ns(spin)) {
                prop_assert!(i64::try_from(first.0).is_ok());
                prop_assert!(period >= MIN_PERIOD && period <= MAX_PERIOD);
                prop_assert!(period.0 / 2 >= wire);
                prop_assert!(spin <= MAX_SPIN.0);
            }
            let stop = abi::Stop::read_from_bytes(&stop).unwrap();
            if check_stop(&stop, Ns(wire), Ns(spin)).is_ok() {
                prop_assert_eq!(stop.reserved, 0);
                prop_assert!(stop.period_ns == 0 || stop.miss_limit > 0);
                prop_assert!(stop.miss_limit == 0 || spin <= MAX_SPIN.0);
            }
        }
    }
}
