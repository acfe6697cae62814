// SPDX-License-Identifier: MIT OR Apache-2.0

//! A benchmark record, as `docs/benchmarks.md` describes it.

use crate::series::Column;
use crate::stamp;
use inband_load::Rates;
use oobkit::thread::Core;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs;

/// The unit where instructions are counted.
pub(crate) const UNIT: &str = "guest-instructions";

/// One case, measured by the kit and by those it is compared with.
#[derive(Debug, Serialize)]
pub(crate) struct Record {
    case: String,
    kernel: String,
    core: &'static str,
    unit: &'static str,
    /// What the counter can tell apart, in the record's unit.
    resolution: u64,
    kit: Column,
    peers: BTreeMap<&'static str, Column>,
    /// What went on beside it.
    #[serde(skip_serializing_if = "Option::is_none")]
    load: Option<Rates>,
    /// What the virtual board's model cost, which is not in the kit's figures.
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<Column>,
}

impl Record {
    /// Without a peer yet.
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

    /// Adds one that the kit is compared with.
    pub(crate) fn peer(&mut self, name: &'static str, column: Column) -> &mut Self {
        self.peers.insert(name, column);
        self
    }

    /// Says what went on beside it.
    pub(crate) fn load(&mut self, rates: Rates) {
        self.load = Some(rates);
    }

    /// Adds what was taken out.
    pub(crate) fn model(&mut self, column: Column) -> &mut Self {
        self.model = Some(column);
        self
    }
}
