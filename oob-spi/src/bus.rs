// SPDX-License-Identifier: GPL-2.0-only

//! The bus of one controller: what the kernel edge calls.
//!
//! ```text
//!   in-band call              exchange call       timers, interrupt
//!   (life.rs, setup.rs)       (exchange.rs)       (events.rs)
//!        |                          |                   |
//!        +------- Claim: one holder at a time ----------+      (engine.rs and below)
//!                               |
//!                   Controller, frame memory
//! ```
//!
//! Rules:
//! 1. The kernel edge calls the in-band operations of one bus one at a time, under a sleeping
//!    mutex. The other operations may come at any moment, on any processor.
//! 2. ENABLE enters the gate before the memory is made and before the controller prepares anything.
//!    Each failure undoes exactly what was done.
//! 3. An in-band call that ends oob mode first changes the state, so that no new frame begins. Then
//!    it stops the timers and sends the waiting threads away. Then it claims the bus, which waits
//!    for the frame under way, at most for its time limit. Then it undoes what ENABLE did. An
//!    exchange call looks at the state again once it holds the claim.
//! 4. The memory is the kernel edge's. It lives at least until `disable`, `close` or `shutdown`
//!    returns, and longer where it is mapped.

use crate::chip_select::{ChipSelect, State};
use crate::controller::{Controller, Limits};
use crate::engine::Engine;
use crate::env::Env;
use crate::errno::{ConfigError, MapError, Refusal, StateError};
use crate::oob_mode::OobMode;
use crate::request::Owner;
use crate::validate::{self, Change, Mapping, Settings};
use oob::gate::Gate;
use oobkit_abi::spi as abi;

/// See the module.
pub struct Bus<C, E> {
    pub(crate) engine: Engine<C, E>,
    pub(crate) mode: OobMode,
}

impl<C: Controller, E: Env> Bus<C, E> {
    /// A bus with every chip select off.
    pub fn new(controller: C, env: E) -> Self {
        Self {
            engine: Engine::new(controller, env),
            mode: OobMode::new(),
        }
    }

    /// The surroundings that the bus was made with.
    pub fn env(&self) -> &E {
        &self.engine.env
    }

    /// What the controller can do.
    pub fn limits(&self) -> &Limits {
        &self.engine.limits
    }

    /// The gate, for in-band messages.
    pub fn gate(&self) -> &Gate {
        &self.mode.gate
    }

    /// The chip select, where `owner` has it in oob mode; the fail-safe may have stopped it.
    pub(crate) fn owned(&self, chip_select: u8, owner: Owner) -> Result<&ChipSelect, Refusal> {
        let chip_select = self.engine.chip_select(chip_select)?;
        chip_select.check_enabled()?;
        self.mode.check_owner(owner)?;
        Ok(chip_select)
    }

    /// The chip select, where `owner` has it in oob mode and the fail-safe has not stopped it.
    pub(crate) fn owned_on(&self, chip_select: u8, owner: Owner) -> Result<&ChipSelect, Refusal> {
        let chip_select = self.engine.chip_select(chip_select)?;
        chip_select.check_on()?;
        self.mode.check_owner(owner)?;
        Ok(chip_select)
    }

    /// Counts a call that was refused before it reached the bus.
    #[cold]
    pub fn reject(&self, chip_select: u8) {
        if let Ok(chip_select) = self.engine.chip_select(chip_select) {
            chip_select.counters.rejected.add(1);
        }
    }

    /// Counts the call if it was refused.
    pub(crate) fn count_refusal<T, X>(
        &self,
        chip_select: u8,
        result: Result<T, X>,
    ) -> Result<T, X> {
        if result.is_err() {
            self.reject(chip_select);
        }
        result
    }

    /// Changes a setting of a chip select that is off.
    ///
    /// # Errors
    ///
    /// See [`ConfigError`].
    pub fn configure(
        &self,
        chip_select: u8,
        settings: &mut Settings,
        change: Change,
    ) -> Result<(), ConfigError> {
        let changed = match self.engine.chip_select(chip_select).map(ChipSelect::state) {
            Err(_) => Err(ConfigError::NoSuch),
            Ok(State::Off) => settings.changed(self.limits(), change),
            Ok(State::Gone) => Err(ConfigError::Gone),
            Ok(_) => Err(ConfigError::On),
        };
        self.count_refusal(chip_select, changed)
            .map(|changed| *settings = changed)
    }

    /// Checks a mapping of a chip select's buffer.
    ///
    /// # Errors
    ///
    /// See [`MapError`].
    pub fn check_map(
        &self,
        chip_select: u8,
        owner: Owner,
        mapping: &Mapping,
    ) -> Result<(), MapError> {
        let checked = self
            .owned(chip_select, owner)
            .map_err(MapError::from)
            .and_then(|owned| validate::check_map(mapping, owned.mappable()));
        self.count_refusal(chip_select, checked)
    }

    /// The parameters that ENABLE arrived at.
    ///
    /// # Errors
    ///
    /// See [`StateError`].
    pub fn info(&self, chip_select: u8) -> Result<abi::Info, StateError> {
        let info = self.engine.chip_select(chip_select).and_then(|enabled| {
            enabled.check_enabled()?;
            Ok(enabled.info())
        });
        Ok(self.count_refusal(chip_select, info)?)
    }

    /// The counters; zeroes for a chip select that does not exist.
    pub fn stats(&self, chip_select: u8) -> abi::Stats {
        self.engine
            .chip_select(chip_select)
            .map(|chip_select| chip_select.counters.stats(self.env()))
            .unwrap_or_default()
    }
}
