// SPDX-License-Identifier: GPL-2.0-only

//! What the documentation of [`oobkit_abi::spi`] says of a call: the errno of every cause to refuse
//! it that applies, and the results of its frames where none applies.
//!
//! ```text
//!   Model { settings, on, owner } + decoded argument --> errnos that apply; none: it is accepted
//! ```
//!
//! It was written from that documentation, not from the code.

use crate::rig::WIRE;
use oob::time::{Instant, Ns};
use oob_spi::controller::{MODE_CPHA, MODE_CPOL, Path};
use oob_spi::request::Owner;
use oob_spi::validate::{Change, Settings};
use oobkit_abi::spi as abi;

/// The errnos of the documentation, as Linux numbers them.
mod errno {
    pub(super) const ENXIO: i32 = 6;
    pub(super) const E2BIG: i32 = 7;
    pub(super) const EACCES: i32 = 13;
    pub(super) const EBUSY: i32 = 16;
    pub(super) const EINVAL: i32 = 22;
    pub(super) const EDOM: i32 = 33;
    pub(super) const ERANGE: i32 = 34;
    pub(super) const ECHRNG: i32 = 44;
    pub(super) const ENODATA: i32 = 61;
    pub(super) const ETIME: i32 = 62;
    pub(super) const EBADMSG: i32 = 74;
    pub(super) const EOVERFLOW: i32 = 75;
    pub(super) const EMSGSIZE: i32 = 90;
    pub(super) const EPROTOTYPE: i32 = 91;
    pub(super) const EPROTONOSUPPORT: i32 = 93;
    pub(super) const EOPNOTSUPP: i32 = 95;
    pub(super) const ESTALE: i32 = 116;
    pub(super) const ECANCELED: i32 = 125;
}
use errno::*;

pub(super) const HOUR: u64 = 3_600_000_000_000;

/// What the documentation says of a bus with the rig's limits.
pub(super) struct Model {
    pub(super) path: Path,
    pub(super) settings: Settings,
    /// For each chip select that is on: a frame's time, and the longest that a handler spins for
    /// it.
    pub(super) on: [Option<(Ns, Ns)>; 3],
    pub(super) owner: Owner,
}

/// The errnos whose cause applies.
fn applying(causes: &[(bool, i32)]) -> Vec<i32> {
    let applying = causes.iter().filter(|(applies, _)| *applies);
    applying.map(|(_, errno)| *errno).collect()
}

/// The errno of a reserved field that is set.
pub(super) fn reserved(is_set: bool) -> Vec<i32> {
    applying(&[(is_set, EINVAL)])
}

impl Model {
    pub(super) fn is_on(&self) -> bool {
        self.on.iter().any(Option::is_some)
    }

    fn at(&self, chip_select: u8) -> Option<(Ns, Ns)> {
        *self.on.get(usize::from(chip_select))?
    }

    /// Why a call that needs oob mode is refused.
    pub(super) fn absent(&self, chip_select: u8, owner: Owner) -> Vec<i32> {
        applying(&[
            (chip_select >= 3, ECHRNG),
            (chip_select < 3 && self.at(chip_select).is_none(), ENXIO),
            (self.is_on() && owner != self.owner, EACCES),
        ])
    }

    pub(super) fn enable(
        &self,
        chip_select: u8,
        owner: Owner,
        args: &abi::Enable,
    ) -> (Vec<i32>, (Ns, Ns)) {
        let or = |own: u32, set: u32, default: u32| match (own, set) {
            (0, 0) => default,
            (0, value) | (value, _) => value,
        };
        let hz = or(args.speed_hz, self.settings.speed_hz, 50_000_000).min(50_000_000);
        let own_bits = u32::from(args.bits_per_word);
        let bits = or(own_bits, u32::from(self.settings.bits_per_word), 8);
        let wire = Ns(u64::from(args.frame_len).saturating_mul(8_000_000_000) / u64::from(hz));
        let causes = applying(&[
            (chip_select >= 3, ECHRNG),
            (self.at(chip_select).is_some(), EBUSY),
            (self.is_on() && owner != self.owner, EACCES),
            (args.frame_len == 0, ENODATA),
            (args.frame_len > 65_532, EMSGSIZE),
            (!args.frame_len.is_multiple_of(bits.div_ceil(8)), EBADMSG),
            (![8, 16, 32].contains(&bits), EPROTONOSUPPORT),
            (hz < 10_000, ERANGE),
            (wire > Ns(2_000_000_000), EOVERFLOW),
        ]);
        let spin = match self.path {
            Path::Dma => self.settings.delays.sum(),
            _ => wire,
        };
        (causes, (wire, spin))
    }

    pub(super) fn configure(&self, chip_select: u8, change: &Change) -> Vec<i32> {
        let wrong = match *change {
            Change::Mode(mode) => (mode & !(MODE_CPHA | MODE_CPOL) != 0, EPROTOTYPE),
            Change::BitsPerWord(bits) => (![0, 8, 16, 32].contains(&bits), EPROTONOSUPPORT),
            Change::Speed(hz) => (hz < 10_000, ERANGE),
            Change::Delays(args) => {
                let spans = [args.setup_ns, args.hold_ns, args.inactive_ns];
                (spans.iter().any(|ns| *ns > 1_000_000), EDOM)
            }
        };
        let reserved = matches!(change, Change::Delays(args) if args.reserved != 0);
        applying(&[
            (chip_select >= 3, ECHRNG),
            (self.at(chip_select).is_some(), EBUSY),
            (reserved, EINVAL),
            wrong,
        ])
    }

    fn period(&self, chip_select: u8, period: u64) -> (bool, i32) {
        let wire = self.at(chip_select).unwrap_or_default().0;
        let right = period >= 20_000 && period >= 2 * wire.0 && period <= HOUR;
        (!right, ERANGE)
    }

    fn spins(&self, chip_select: u8) -> bool {
        self.at(chip_select).unwrap_or_default().1 > Ns(200_000)
    }

    pub(super) fn trigger(&self, chip_select: u8, args: &abi::Trigger) -> Vec<i32> {
        let own: &[_] = match args.kind {
            0 => &[((args.first_ns, args.period_ns) != (0, 0), EINVAL)],
            1 => &[
                self.period(chip_select, args.period_ns),
                (args.first_ns >> 63 != 0, EOVERFLOW),
                (self.spins(chip_select), E2BIG),
            ],
            _ => &[(true, EOPNOTSUPP)],
        };
        applying(&[own, &[(args.reserved != 0, EINVAL)]].concat())
    }

    pub(super) fn stop(&self, chip_select: u8, args: &abi::Stop) -> Vec<i32> {
        let (is_out, range) = self.period(chip_select, args.period_ns);
        applying(&[
            (args.reserved != 0, EINVAL),
            (args.period_ns != 0 && is_out, range),
            (args.period_ns != 0 && args.miss_limit == 0, EDOM),
            (args.miss_limit != 0 && self.spins(chip_select), E2BIG),
        ])
    }

    pub(super) fn list(&self, owner: Owner, list: &abi::RunList) -> Vec<i32> {
        let used = list.entries.iter().take(list.count as usize);
        let of_entries = used.flat_map(|entry| {
            let reserved = reserved(entry.reserved != [0; 3]);
            [self.absent(entry.chip_select, owner), reserved].concat()
        });
        let whole = applying(&[
            (list.reserved != 0, EINVAL),
            (list.count == 0, ENODATA),
            (list.count > 16, E2BIG),
        ]);
        whole.into_iter().chain(of_entries).collect()
    }
}

/// The results of `count` frames, one after the other, from `now` on: the errno of each, and how
/// many are exchanged.
pub(super) fn frames(now: Instant, deadline: Instant, count: usize) -> (Vec<i32>, usize) {
    let (mut now, mut exchanged) = (now, 0);
    let mut ends: Vec<i32> = Vec::new();
    for _ in 0..count {
        let end = if ends.last().is_some_and(|errno| *errno != 0) {
            ECANCELED
        } else if now >= deadline {
            ESTALE
        } else {
            now = now.after(WIRE);
            exchanged += 1;
            if now > deadline { ETIME } else { 0 }
        };
        ends.push(end);
    }
    (ends, exchanged)
}
