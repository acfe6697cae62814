// SPDX-License-Identifier: GPL-2.0-only

//! Oob mode of a whole bus: its owner, how many chip selects are in it, and the gate against
//! in-band messages.

use crate::chip_select::ChipSelect;
use crate::env::Env;
use crate::errno::{EnableError, Refusal};
use crate::request::Owner;
use crate::sync::{AtomicU32, AtomicU64, Ordering};
use oob::gate::Gate;
use oob::stage::Inband;
use oob::time::Ns;

/// See the module. In-band calls, which exclude one another, write it; exchange calls read the
/// owner.
pub(crate) struct OobMode {
    owner: AtomicU64,
    enabled: AtomicU32,
    pub(crate) gate: Gate,
}

impl OobMode {
    pub(crate) fn new() -> Self {
        Self {
            owner: AtomicU64::new(0),
            enabled: AtomicU32::new(0),
            gate: Gate::new(),
        }
    }

    #[inline]
    pub(crate) fn is_owned_by(&self, owner: Owner) -> bool {
        self.owner.load(Ordering::Relaxed) == owner.0
    }

    pub(crate) fn check_owner(&self, owner: Owner) -> Result<(), Refusal> {
        match self.is_owned_by(owner) {
            true => Ok(()),
            false => Err(Refusal::OtherOwner),
        }
    }

    /// Whether `owner` may send frames.
    #[inline]
    pub(crate) fn check_sender(
        &self,
        chip_select: &ChipSelect,
        owner: Owner,
    ) -> Result<(), Refusal> {
        match chip_select.is_on() && self.is_owned_by(owner) {
            true => Ok(()),
            false => self.why_no_sender(chip_select, owner),
        }
    }

    #[cold]
    fn why_no_sender(&self, chip_select: &ChipSelect, owner: Owner) -> Result<(), Refusal> {
        chip_select.check_on()?;
        self.check_owner(owner)
    }

    /// Enters oob mode for one chip select more. For the bus's first one that means to wait at the
    /// gate, for at most `limit`. Returns whether it is the first. [`Self::commit`] or
    /// [`Self::cancel`] follows.
    pub(crate) fn enter(
        &self,
        env: &impl Env,
        inband: &Inband<'_>,
        owner: Owner,
        limit: Ns,
    ) -> Result<bool, EnableError> {
        if self.enabled.load(Ordering::Relaxed) != 0 {
            return match self.is_owned_by(owner) {
                true => Ok(false),
                false => Err(EnableError::OtherOwner),
            };
        }
        let end = env.now().after(limit);
        while !self.gate.try_enter_oob() {
            if env.now() >= end {
                if self.gate.give_up_oob() {
                    env.gate_opened(inband);
                }
                return Err(EnableError::BusHeld);
            }
            env.nap(inband);
        }
        self.owner.store(owner.0, Ordering::Relaxed);
        Ok(true)
    }

    /// Counts the chip select that entered.
    pub(crate) fn commit(&self) {
        self.enabled.fetch_add(1, Ordering::Relaxed);
    }

    /// Undoes [`Self::enter`], which returned `is_first`.
    pub(crate) fn cancel(&self, env: &impl Env, inband: &Inband<'_>, is_first: bool) {
        if is_first {
            self.leave(env, inband);
        }
    }

    /// One chip select less. Returns whether it was the last one: then [`Self::leave`] follows.
    pub(crate) fn discount(&self) -> bool {
        self.enabled.fetch_sub(1, Ordering::Relaxed) == 1
    }

    /// Leaves the gate.
    pub(crate) fn leave(&self, env: &impl Env, inband: &Inband<'_>) {
        if self.gate.exit_oob() {
            env.gate_opened(inband);
        }
    }
}
