// SPDX-License-Identifier: GPL-2.0-only

//! Calls that may be right, and what may happen to their arguments on the way.
//!
//! ```text
//!   Step { call: a structure that may be right, chip_select, owner, spoil: none, some, all bytes }
//! ```
//!
//! Hardly any random structure would pass the first check, so these start from ones that may be
//! right.

use super::OTHER;
use super::model::HOUR;
use crate::rig::ME;
use oob_spi::controller::{MODE_CPHA, MODE_CPOL, MODE_CS_HIGH};
use oob_spi::request::Owner;
use oobkit_abi::spi as abi;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// What happens to a structure on its way.
#[derive(Clone, Debug)]
pub(super) enum Spoil {
    Nothing,
    /// Each byte, by its index modulo the length, is XORed with a number other than 0.
    Some(Vec<(usize, u8)>),
    All(Vec<u8>),
}

impl Spoil {
    /// As the device node decodes it.
    pub(super) fn decoded<T: FromBytes + IntoBytes + Immutable>(&self, argument: &T) -> T {
        let mut bytes = argument.as_bytes().to_vec();
        match self {
            Self::Nothing => {}
            Self::Some(changes) => {
                for (index, change) in changes {
                    let index = index % bytes.len();
                    bytes[index] ^= change;
                }
            }
            Self::All(random) => bytes = random[..bytes.len()].to_vec(),
        }
        let mut value = T::new_zeroed();
        value.as_mut_bytes().copy_from_slice(&bytes);
        value
    }
}

#[derive(Clone, Debug)]
pub(super) enum Call {
    Enable(abi::Enable),
    Disable,
    Mode(u32),
    BitsPerWord(u8),
    Speed(u32),
    Delays(abi::Delays),
    Trigger(abi::Trigger),
    Stop(abi::Stop),
    RunUntil(abi::RunUntil),
    RunList(abi::RunList),
}

#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) call: Call,
    pub(super) chip_select: u8,
    pub(super) owner: Owner,
    pub(super) spoil: Spoil,
}

fn enable() -> impl Strategy<Value = Call> {
    let frame_len = prop_oneof![8 => 1_u32..200, 1 => select(vec![0, 65_532, 65_533, 65_536])];
    let speed_hz = select(vec![0, 9_999, 10_000, 262_000, 1_000_000, u32::MAX]);
    let bits = select(vec![0, 8, 8, 16, 32, 9]);
    (frame_len, speed_hz, bits, any::<u32>()).prop_map(|(frame_len, speed_hz, bits, out)| {
        Call::Enable(abi::Enable {
            frame_len,
            speed_hz,
            bits_per_word: bits,
            // The result is not checked.
            iobuf_len: out,
            tx_offset: out,
            ..abi::Enable::default()
        })
    })
}

fn setting() -> impl Strategy<Value = Call> {
    let span = || prop_oneof![0_u32..=1_000_000, Just(1_000_001)];
    prop_oneof![
        select(vec![0, MODE_CPOL, MODE_CPHA | MODE_CPOL, MODE_CS_HIGH]).prop_map(Call::Mode),
        select(vec![0, 8, 16, 32, 33]).prop_map(Call::BitsPerWord),
        select(vec![0, 9_999, 10_000, 20_000_000, u32::MAX]).prop_map(Call::Speed),
        [span(), span(), span()].prop_map(|[setup_ns, hold_ns, inactive_ns]| {
            Call::Delays(abi::Delays {
                setup_ns,
                hold_ns,
                inactive_ns,
                reserved: 0,
            })
        }),
    ]
}

fn period() -> impl Strategy<Value = u64> {
    prop_oneof![
        4 => 0_u64..10_000_000,
        1 => select(vec![0, 19_999, 20_000, HOUR, HOUR + 1]),
    ]
}

fn trigger() -> impl Strategy<Value = Call> {
    let first = prop_oneof![4 => 0_u64..4_000_000, 1 => Just(1 << 63)];
    (0_u32..3, first, period()).prop_map(|(kind, first, period)| {
        let is_call = kind == 0 && first % 4 != 0;
        Call::Trigger(abi::Trigger {
            kind,
            reserved: 0,
            first_ns: if is_call { 0 } else { first },
            period_ns: if is_call { 0 } else { period },
        })
    })
}

fn stop() -> impl Strategy<Value = Call> {
    (0_u32..3, prop_oneof![Just(0), period()]).prop_map(|(miss_limit, period_ns)| {
        Call::Stop(abi::Stop {
            miss_limit,
            reserved: 0,
            period_ns,
        })
    })
}

/// Most lie in the future, because the clock begins at 0.
fn deadline() -> impl Strategy<Value = u64> {
    prop_oneof![0_u64..5_000_000, Just(0), Just(u64::MAX)]
}

fn list() -> impl Strategy<Value = Call> {
    (
        deadline(),
        prop_oneof![8 => 0_u32..7, 1 => 15_u32..18],
        vec(0_u8..3, abi::LIST_MAX),
        any::<i32>(),
    )
        .prop_map(|(deadline_ns, count, chip_selects, status)| {
            let mut list = abi::RunList {
                deadline_ns,
                count,
                ..abi::RunList::default()
            };
            for (entry, chip_select) in list.entries.iter_mut().zip(chip_selects) {
                (entry.chip_select, entry.status) = (chip_select, status);
            }
            Call::RunList(list)
        })
}

pub(super) fn step() -> impl Strategy<Value = Step> {
    let until = deadline().prop_map(|deadline_ns| {
        Call::RunUntil(abi::RunUntil {
            deadline_ns,
            reserved: 0,
        })
    });
    let call = prop_oneof![
        4 => enable(),
        1 => Just(Call::Disable),
        2 => setting(),
        2 => trigger(),
        2 => stop(),
        2 => until,
        2 => list(),
    ];
    let chip_select = prop_oneof![9 => 0_u8..3, 1 => 3_u8..=255];
    let owner = prop_oneof![9 => Just(ME), 1 => Just(OTHER)];
    let spoil = prop_oneof![
        6 => Just(Spoil::Nothing),
        5 => vec((any::<usize>(), 1_u8..), 1..3).prop_map(Spoil::Some),
        1 => vec(any::<u8>(), 160).prop_map(Spoil::All),
    ];
    (call, chip_select, owner, spoil).prop_map(|(call, chip_select, owner, spoil)| Step {
        call,
        chip_select,
        owner,
        spoil,
    })
}
