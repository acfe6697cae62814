// SPDX-License-Identifier: MIT OR Apache-2.0

//! A benchmark record. `docs/benchmarks.md` describes the format.

use crate::series::Column;
use crate::stamp;
use inband_load::Rates;
use oobkit::thread::Core;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs;

/// The unit if the emulator counts instructions.
pub(crate) const UNIT: &str = "guest-instructions";

/// One case: the kit's figures, and those of its peers.
#[derive(Debug, Serialize)]
pub(crate) struct Record {
    case: String,
    kernel: String,
    core: &'static str,
    unit: &'static str,
    /// The counter's resolution, in the record's unit.
    resolution: u64,
    kit: Column,
    peers: BTreeMap<&'static str, Column>,
    /// The in-band load beside the measurement.
    #[serde(skip_serializing_if = "Option::is_none")]
    load: Option<Rates>,
    /// The cost of the virtual board's model, which the kit's figures do not include.
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<Column>,
}

impl Record {
    /// A record without a peer.
    pub(crate) fn new(case: String, unit: &'static str, kit: Column) -> Self {
        Self {
            case,
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")
                .map_or_else(|_| "unknown".into(), |text| text.trim().into()),
            core: Core::here().name(),
            unit,
            resolution: stamp::nanos(1).max(1),
            kit,
            peers: BTreeMap::new(),
            load: None,
            model: None,
        }
    }

    /// Adds the figures of a peer.
    pub(crate) fn peer(&mut self, name: &'static str, column: Column) -> &mut Self {
        self.peers.insert(name, column);
        self
    }

    /// Sets the load beside the measurement.
    pub(crate) fn load(&mut self, rates: Rates) {
        self.load = Some(rates);
    }

    /// Sets the cost of the virtual board's model.
    pub(crate) fn model(&mut self, column: Column) -> &mut Self {
        self.model = Some(column);
        self
    }
}
