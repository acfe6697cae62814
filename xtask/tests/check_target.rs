// SPDX-License-Identifier: GPL-2.0-only
//! What is wrong with a kernel's tree or with the toolchain is said in one line, which names it.

mod fake;

use std::fs;
use std::ops::Deref;
use std::path::Path;
use std::process::Command;

use fake::Folder;

const CONFIG: &str = "CONFIG_MODULES=y\nCONFIG_64BIT=y\nCONFIG_SPI=y\nCONFIG_HIGH_RES_TIMERS=y\nCONFIG_TRACEPOINTS=y\n";

/// A folder that looks like a configured kernel's, and a compiler and a cargo that only tell their versions.
struct Fake(Folder);

impl Fake {
    fn new(name: &str) -> Self {
        let fake = Self(Folder::new(&format!("check-{name}")));
        fake.write("Makefile", "");
        fake.write("Module.symvers", "");
        fake.config(CONFIG);
        fake.program("cargo", "echo cargo 1.96.0");
        fake.rustc("1.96.0");
        fake.write("root/lib/rustlib/src/rust/library/core/src/lib.rs", "");
        fake
    }

    fn config(&self, text: &str) {
        self.write("include/config/auto.conf", text);
    }

    fn rustc(&self, version: &str) {
        let root = self.join("root");
        let line = format!(
            "[ \"$1\" = --version ] && echo 'rustc {version} (x)' || echo {}",
            root.display()
        );
        self.program("rustc", &line);
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.join(name)).unwrap();
    }

    /// The status, and what was said.
    fn check(&self) -> (bool, String) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/check-target");
        let out = Command::new("sh")
            .arg(script)
            .args([self.to_path_buf(), self.join("rustc"), self.join("cargo")])
            .output()
            .unwrap();
        (
            out.status.success(),
            String::from_utf8(out.stderr).unwrap() + &String::from_utf8(out.stdout).unwrap(),
        )
    }
}

impl Deref for Fake {
    type Target = Folder;

    fn deref(&self) -> &Folder {
        &self.0
    }
}

#[test]
fn each_fault_is_one_line_that_names_it() {
    type Spoil = fn(&Fake);
    let cases: [(&str, Spoil, &str); 11] = [
        (
            "no folder",
            |f| fs::remove_dir_all(&***f).unwrap(),
            "is no folder",
        ),
        ("no kernel", |f| f.remove("Makefile"), "holds no Makefile"),
        (
            "not configured",
            |f| f.remove("include/config/auto.conf"),
            "not configured",
        ),
        (
            "not built",
            |f| f.remove("Module.symvers"),
            "no Module.symvers",
        ),
        (
            "no modules",
            |f| f.config(&CONFIG.replace("CONFIG_MODULES=y\n", "")),
            "CONFIG_MODULES",
        ),
        (
            "32 bits",
            |f| f.config(&CONFIG.replace("CONFIG_64BIT=y\n", "")),
            "not a 64-bit",
        ),
        (
            "no SPI",
            |f| f.config(&CONFIG.replace("CONFIG_SPI=y\n", "CONFIG_SPI=m\n")),
            "lacks CONFIG_SPI",
        ),
        (
            "CFI",
            |f| f.config(&format!("{CONFIG}CONFIG_CFI_CLANG=y\n")),
            "CONFIG_CFI_CLANG",
        ),
        ("old compiler", |f| f.rustc("1.90.0"), "1.91 is the oldest"),
        ("no compiler", |f| f.remove("rustc"), "no Rust compiler"),
        (
            "no library source",
            |f| f.remove("root/lib/rustlib/src/rust/library/core/src/lib.rs"),
            "without its library source",
        ),
    ];
    for (name, spoil, named) in cases {
        let fake = Fake::new(name);
        spoil(&fake);
        let (passed, said) = fake.check();
        assert!(!passed, "{name}: taken");
        assert_eq!(said.lines().count(), 1, "{name}: {said}");
        assert!(
            said.starts_with("oobkit: ") && said.contains(named),
            "{name}: {said}"
        );
    }
}

#[test]
fn a_tree_without_fault_is_told_nothing_but_of_a_missing_libclang() {
    let (passed, said) = Fake::new("good").check();
    assert!(
        passed && said.is_empty() || said.contains("no libclang"),
        "{said}"
    );
}
