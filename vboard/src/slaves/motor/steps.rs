// SPDX-License-Identifier: GPL-2.0-only

//! The motor's equations as matrices, for 1, 2, 4... steps at once.

use motor_frame::COUNTS_PER_TURN;

/// Entries of the table. The last one is for 2^20 steps, 10.5 s.
pub(super) const LEVELS: usize = 21;
/// Fraction bits of the matrices.
pub(super) const Q: u32 = 40;
const ONE: i128 = 1 << Q;

/// Stall current, mA.
pub(super) const STALL: i128 = 12_000;
/// No-load velocity, counts/s.
pub(super) const NO_LOAD: i128 = 50 * COUNTS_PER_TURN as i128;
/// TAU_E, TAU_M, TAU_F and a second, in steps.
pub(super) const TAU_E: i128 = 50;
pub(super) const TAU_M: i128 = 2_000;
pub(super) const TAU_F: i128 = 100_000;
pub(super) const SECOND: i128 = 100_000;

/// The effect of a number of steps on (i, w, x) under a constant drive u. A field's first letter is
/// the row, its second the column.
#[derive(Clone, Copy, Debug)]
pub(super) struct Steps {
    pub(super) ii: i64,
    pub(super) iw: i64,
    pub(super) iu: i64,
    pub(super) wi: i64,
    pub(super) ww: i64,
    pub(super) wu: i64,
    pub(super) xi: i64,
    pub(super) xw: i64,
    pub(super) xu: i64,
}

const fn q(value: i128) -> i64 {
    // This runs at compile time: a value that does not fit fails the build.
    assert!(value <= i64::MAX as i128 && value >= i64::MIN as i128);
    value as i64
}

#[allow(clippy::arithmetic_side_effects, reason = "the compiler evaluates it")]
const fn sum(a: (i64, i64), b: (i64, i64), rest: i64) -> i64 {
    let products = a.0 as i128 * a.1 as i128 + b.0 as i128 * b.1 as i128;
    q(((products + (1 << (Q - 1))) >> Q) + rest as i128)
}

impl Steps {
    /// One step with the windings driven, or shorted (u = 0).
    const DRIVEN: Self = Self {
        ii: q(ONE - ONE / TAU_E),
        iw: q(-ONE * STALL / NO_LOAD / TAU_E),
        iu: q(ONE * STALL / TAU_E),
        wi: q(ONE * NO_LOAD / STALL / TAU_M),
        ww: q(ONE - ONE / TAU_F),
        wu: 0,
        xi: 0,
        xw: q(ONE / SECOND),
        xu: 0,
    };

    /// One step with the windings open.
    const COASTING: Self = Self {
        ii: 0,
        iw: 0,
        iu: 0,
        wi: 0,
        ..Self::DRIVEN
    };

    /// The effect of twice as many steps.
    const fn doubled(self) -> Self {
        let Self {
            ii,
            iw,
            iu,
            wi,
            ww,
            wu,
            xi,
            xw,
            xu,
        } = self;
        Self {
            ii: sum((ii, ii), (iw, wi), 0),
            iw: sum((ii, iw), (iw, ww), 0),
            iu: sum((ii, iu), (iw, wu), iu),
            wi: sum((wi, ii), (ww, wi), 0),
            ww: sum((wi, iw), (ww, ww), 0),
            wu: sum((wi, iu), (ww, wu), wu),
            xi: sum((xi, ii), (xw, wi), xi),
            xw: sum((xi, iw), (xw, ww), xw),
            xu: sum((xi, iu), (xw, wu), xu.saturating_mul(2)),
        }
    }

    #[allow(
        clippy::arithmetic_side_effects,
        clippy::indexing_slicing,
        reason = "the compiler evaluates it"
    )]
    const fn table(self) -> [Self; LEVELS] {
        let mut table = [self; LEVELS];
        let mut level = 1;
        while level < LEVELS {
            table[level] = table[level - 1].doubled();
            level += 1;
        }
        table
    }
}

pub(super) static DRIVEN: [Steps; LEVELS] = Steps::DRIVEN.table();
pub(super) static COASTING: [Steps; LEVELS] = Steps::COASTING.table();
