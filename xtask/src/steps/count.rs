// SPDX-License-Identifier: GPL-2.0-only
//! How many tests passed and failed.

/// A step's result.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) struct Count {
    pub(crate) passed: u32,
    pub(crate) failed: u32,
}

impl Count {
    pub(crate) const PASS: Self = Self {
        passed: 1,
        failed: 0,
    };
    pub(crate) const FAIL: Self = Self {
        passed: 0,
        failed: 1,
    };

    /// The count of one test.
    pub(crate) fn of(passed: bool) -> Self {
        if passed { Self::PASS } else { Self::FAIL }
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.passed = self.passed.saturating_add(other.passed);
        self.failed = self.failed.saturating_add(other.failed);
    }

    /// Finds a program's closing line, `N passed, N failed`.
    pub(crate) fn closing(text: &str) -> Option<Self> {
        let line = text.lines().rev().find(|line| line.ends_with(" failed"))?;
        let (passed, failed) = line.strip_suffix(" failed")?.split_once(" passed, ")?;
        Some(Self {
            passed: passed.trim().parse().ok()?,
            failed: failed.parse().ok()?,
        })
    }

    /// The sum of the result lines of `cargo test`.
    pub(crate) fn of_cargo_test(text: &str) -> Self {
        let mut total = Self::default();
        for line in text
            .lines()
            .filter_map(|line| line.strip_prefix("test result: "))
        {
            let number = |what: &str| {
                line.split([';', '.'])
                    .find_map(|part| part.trim().strip_suffix(what)?.trim().parse().ok())
                    .unwrap_or(0)
            };
            total.add(Self {
                passed: number("passed"),
                failed: number("failed"),
            });
        }
        total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closing_line_is_found() {
        let text = "ok a\nFAIL b: no\n12 passed, 1 failed\n\n";
        let [passed, failed] = [12, 1];
        assert_eq!(Count::closing(text), Some(Count { passed, failed }));
        assert_eq!(Count::closing("ok a\n"), None);
    }

    #[test]
    fn results_of_cargo_test_are_summed() {
        let text = "running 2 tests\n\
            test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s\n\
            test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.20s\n";
        let [passed, failed] = [15, 2];
        assert_eq!(Count::of_cargo_test(text), Count { passed, failed });
    }
}
