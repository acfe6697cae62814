// SPDX-License-Identifier: GPL-2.0-only

//! The flag: the kit's latch over simulated threads.

use super::machine::Host;
use crate::latch::Latch;
use crate::stage::{Inband, Oob};
use crate::time::Instant;
use crate::wait::{Flag, WaitError};

/// A flag in virtual time.
#[derive(Debug)]
pub struct HostFlag {
    host: Host,
    latch: Latch,
}

impl Host {
    /// A flag whose waiter waits in this machine's time.
    pub fn flag(&self, _inband: &Inband<'_>) -> HostFlag {
        HostFlag {
            host: self.clone(),
            latch: Latch::new(),
        }
    }
}

impl Flag for HostFlag {
    fn clear(&self) {
        self.latch.clear();
    }

    fn raise(&self) {
        self.latch.raise(&self.host);
    }

    fn wait_until(&self, _oob: &Oob<'_>, deadline: Instant) -> Result<(), WaitError> {
        self.latch.wait_until(&self.host, deadline)
    }
}
