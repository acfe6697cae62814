// SPDX-License-Identifier: GPL-2.0-only

//! The promises, one file a theme. Larger themes have several files.

mod attach;
mod evl_poll;
mod failsafe;
mod faults;
mod flash;
mod frames;
mod fuzz;
mod inband;
mod life;
mod list;
mod memory;
mod modules;
mod overlay;
mod owner;
mod program32;
mod refused_pointers;
mod refused_run;
mod refused_setup;
mod refused_trigger;
mod stage_files;
mod stage_interrupt;
mod stage_kthread;
mod stage_lock;
mod stage_mutex;
mod stage_pool;
mod stage_relay;
mod stage_threads;
mod stage_timer;
mod stage_work;
mod trace;
mod triggers;
mod unbind;

use crate::test::Test;

/// Every promise, in the order in which they are tested.
///
/// The flash on raspi3b answers commands until a READ makes it stream its content, and nothing ends
/// that stream. So the test that reads it comes last. The tests before it send only zeroes to that
/// flash, which it takes for no command.
pub(crate) fn all() -> Vec<&'static Test> {
    let themes: [&[Test]; 32] = [
        attach::TESTS,
        stage_threads::TESTS,
        stage_files::TESTS,
        program32::TESTS,
        evl_poll::TESTS,
        stage_pool::TESTS,
        stage_relay::TESTS,
        stage_lock::TESTS,
        stage_mutex::TESTS,
        stage_kthread::TESTS,
        stage_work::TESTS,
        stage_timer::TESTS,
        stage_interrupt::TESTS,
        life::TESTS,
        owner::TESTS,
        refused_setup::TESTS,
        refused_trigger::TESTS,
        refused_pointers::TESTS,
        refused_run::TESTS,
        frames::TESTS,
        list::TESTS,
        triggers::TESTS,
        faults::TESTS,
        failsafe::TESTS,
        trace::TESTS,
        inband::TESTS,
        unbind::TESTS,
        modules::TESTS,
        overlay::TESTS,
        memory::TESTS,
        flash::TESTS,
        fuzz::TESTS,
    ];
    themes.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::all;
    use crate::test::Test;
    use std::collections::{BTreeMap, BTreeSet};

    #[test]
    fn each_theme_has_exactly_one_smoke_test() {
        let mut smoke = BTreeMap::new();
        for test in all() {
            *smoke.entry(test.theme()).or_insert(0) += usize::from(test.is_smoke);
        }
        smoke.retain(|_, count| *count != 1);
        assert!(smoke.is_empty(), "themes and their smoke tests: {smoke:?}");
    }

    #[test]
    fn each_name_is_unique_and_has_a_theme() {
        let names: BTreeSet<_> = all().iter().map(|test| test.name).collect();
        assert_eq!(names.len(), all().len());
        assert!(all().iter().all(|test| !test.theme().is_empty()));
    }

    /// So `--only NAME` runs one test.
    #[test]
    fn no_name_contains_another() {
        for test in all() {
            let is_inside = |other: &&&Test| other.name.contains(test.name);
            assert_eq!(all().iter().filter(is_inside).count(), 1, "{}", test.name);
        }
    }
}
