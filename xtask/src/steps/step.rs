// SPDX-License-Identifier: GPL-2.0-only
//! A step of `cargo xtask test`.

use std::fmt::Display;

use anyhow::Result;

use super::count::Count;
use crate::setup::Need;

/// The options of the command line.
#[derive(Clone, Default, Debug)]
pub(crate) struct Mode {
    /// Every count in full.
    pub(crate) long: bool,
    /// A guest runs the promises whose names contain one of these texts. Empty: the step's own
    /// list.
    pub(crate) promises: Vec<String>,
}

/// A resource that only one step may use at a time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Tool {
    /// Cargo's folder for code that runs in a process.
    HostBuild,
    /// Cargo's folder for code that goes into kernels.
    KernelBuild,
    /// The whole machine: the step runs alone.
    Machine,
}

/// The output of a step. It is shown in one piece at the end of the step, because two steps run at
/// a time.
#[derive(Default, Debug)]
pub(crate) struct Log(pub(crate) String);

impl Log {
    pub(crate) fn line(&mut self, text: impl Display) {
        self.0.push_str(&text.to_string());
        self.0.push('\n');
    }
}

type Run = Box<dyn Fn(&Mode, &mut Log) -> Result<Count> + Send + Sync>;

/// A step.
pub(crate) struct Step {
    pub(crate) name: String,
    /// What it shows.
    pub(crate) about: &'static str,
    /// Whether the step runs only with `--long`.
    pub(crate) is_long: bool,
    /// Whether it runs the promises of the guest tests.
    pub(crate) is_guest: bool,
    pub(crate) needs: Vec<Need>,
    /// The steps that it waits for, if they run at all.
    pub(crate) after: Vec<String>,
    pub(crate) tool: Option<Tool>,
    pub(crate) run: Run,
}

impl Step {
    pub(crate) fn new(
        name: impl Into<String>,
        about: &'static str,
        run: impl Fn(&Mode, &mut Log) -> Result<Count> + Send + Sync + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            about,
            is_long: false,
            is_guest: false,
            needs: Vec::new(),
            after: Vec::new(),
            tool: None,
            run: Box::new(run),
        }
    }

    pub(crate) fn long(mut self) -> Self {
        self.is_long = true;
        self
    }

    pub(crate) fn needs(mut self, needs: &[Need]) -> Self {
        self.needs.extend_from_slice(needs);
        self
    }

    pub(crate) fn after(mut self, name: impl Into<String>) -> Self {
        self.after.push(name.into());
        self
    }

    pub(crate) fn uses(mut self, tool: Tool) -> Self {
        self.tool = Some(tool);
        self
    }
}
