// SPDX-License-Identifier: GPL-2.0-only
//! Each fault of a kernel's folder or of the toolchain is reported in one line that names it.

mod ability;
mod fake;

use std::env;
use std::fs;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::Command;

use ability::cannot;
use fake::Folder;

const CONFIG: &str = "CONFIG_X86_64=y\nCONFIG_MODULES=y\nCONFIG_64BIT=y\nCONFIG_SPI=y\nCONFIG_SPI_MASTER=y\n\
    CONFIG_HIGH_RES_TIMERS=y\nCONFIG_TRACEPOINTS=y\nCONFIG_RT_MUTEXES=y\nCONFIG_DEBUG_FS=y\nCONFIG_HAVE_CLK=y\n";

/// A folder that looks like a configured kernel's, with a Makefile that prints its variables, and
/// compilers and a cargo that only print their versions.
struct Fake(Folder);

impl Fake {
    fn new(name: &str) -> Self {
        let fake = Self(Folder::new(&format!("check-{name}")));
        fake.write(
            "Makefile",
            "modules:\n\t@echo \"ARCH=$(ARCH) CROSS_COMPILE=$(CROSS_COMPILE)\"\n",
        );
        fake.write("Module.symvers", "");
        fake.config(CONFIG);
        fake.program("fake-gcc", "");
        fake.program("fake-gcc-12", "");
        fake.program("cargo", "echo cargo 1.96.0");
        fake.rustc("1.96.0");
        fake.write("root/lib/rustlib/src/rust/library/core/src/lib.rs", "");
        fake.write("libclang-19.so", "");
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

    /// The status and the output.
    fn check(&self, arch: &str) -> (bool, String) {
        let mut script = Command::new("sh");
        script.arg(top().join("scripts/check-target"));
        script.args([self.to_path_buf(), arch.into(), self.join("fake-")]);
        script.args([self.join("rustc"), self.join("cargo")]);
        self.said(&mut script)
    }

    /// The variables that this project's Makefile passes to the kernel's Makefile. The test gives
    /// it the kernel's folder alone.
    fn make(&self, machine: &str) -> (bool, String) {
        self.program("uname", &format!("echo {machine}"));
        let mut make = Command::new("make");
        make.arg("-C").arg(top()).arg("--no-print-directory");
        for (name, path) in [
            ("KDIR", self.to_path_buf()),
            ("O", self.join("out")),
            ("RUSTC", self.join("rustc")),
            ("CARGO", self.join("cargo")),
        ] {
            make.arg(format!("{name}={}", path.display()));
        }
        let path = env::var("PATH").unwrap();
        make.env("PATH", format!("{}:{path}", self.display()));
        self.said(&mut make)
    }

    fn said(&self, command: &mut Command) -> (bool, String) {
        for name in ["ARCH", "CROSS_COMPILE", "LLVM", "MAKEFLAGS"] {
            command.env_remove(name);
        }
        let out = command
            .env("LIBCLANG_PATH", self.to_path_buf())
            .output()
            .unwrap();
        (
            out.status.success(),
            String::from_utf8(out.stderr).unwrap() + &String::from_utf8(out.stdout).unwrap(),
        )
    }
}

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
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
    let cases: [(&str, Spoil, &str); 16] = [
        (
            "no folder",
            |f| fs::remove_dir_all(&***f).unwrap(),
            "is not a folder",
        ),
        ("no kernel", |f| f.remove("Makefile"), "has no Makefile"),
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
            "RISC-V",
            |f| f.config(&CONFIG.replace("CONFIG_X86_64", "CONFIG_RISCV")),
            "another architecture",
        ),
        (
            "ARCH of another tree",
            |f| f.config(&CONFIG.replace("CONFIG_X86_64", "CONFIG_ARM64")),
            "ARCH=x86 contradicts",
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
        ("no C compiler", |f| f.remove("fake-gcc"), "no C compiler"),
        (
            "no C compiler of the version that the tree wants",
            |f| {
                f.write(
                    ".kernelvariables",
                    "CC = $(CCACHE) $(CROSS_COMPILE)gcc-12\n",
                );
                f.remove("fake-gcc-12");
            },
            "fake-gcc-12'",
        ),
        ("no cargo", |f| f.remove("cargo"), "no cargo"),
        ("old compiler", |f| f.rustc("1.90.0"), "needs 1.91 or newer"),
        ("no compiler", |f| f.remove("rustc"), "no Rust compiler"),
        (
            "no library source",
            |f| f.remove("root/lib/rustlib/src/rust/library/core/src/lib.rs"),
            "lacks its library source",
        ),
    ];
    for (name, spoil, named) in cases {
        let fake = Fake::new(name);
        spoil(&fake);
        let (passed, said) = fake.check("x86");
        assert!(!passed, "{name}: taken");
        assert_eq!(said.lines().count(), 1, "{name}: {said}");
        assert!(
            said.starts_with("oobkit: ") && said.contains(named),
            "{name}: {said}"
        );
    }
}

#[test]
fn each_option_that_is_needed_is_named_where_it_is_off() {
    let lines = CONFIG.lines().filter(|line| !line.contains("X86_64"));
    for line in lines {
        let option = line.strip_suffix("=y").unwrap();
        let fake = Fake::new(option);
        fake.config(&CONFIG.replace(&format!("{line}\n"), ""));
        let (passed, said) = fake.check("x86");
        assert!(!passed, "{option}: taken");
        assert_eq!(said.lines().count(), 1, "{option}: {said}");
        let names = said.contains(option) || option == "CONFIG_64BIT";
        assert!(said.starts_with("oobkit: ") && names, "{option}: {said}");
    }
}

#[test]
fn a_tree_without_fault_is_told_nothing() {
    let fake = Fake::new("good");
    for arch in ["x86", "x86_64"] {
        assert_eq!(fake.check(arch), (true, String::new()));
    }
    fake.config(&CONFIG.replace("CONFIG_X86_64", "CONFIG_ARM64"));
    assert_eq!(fake.check("arm64"), (true, String::new()));
}

/// Needs make, which the set-up of `cargo xtask test` installs.
#[test]
fn the_architecture_is_the_trees_and_so_is_the_prefix() {
    if Command::new("make").arg("--version").output().is_err() {
        return cannot("there is no make");
    }
    let config = |option| CONFIG.replace("CONFIG_X86_64", option);
    for (option, machine, given) in [
        ("CONFIG_X86_64", "x86_64", "ARCH=x86 CROSS_COMPILE="),
        (
            "CONFIG_ARM64",
            "x86_64",
            "ARCH=arm64 CROSS_COMPILE=aarch64-linux-gnu-",
        ),
        ("CONFIG_ARM64", "aarch64", "ARCH=arm64 CROSS_COMPILE="),
        (
            "CONFIG_X86_64",
            "aarch64",
            "ARCH=x86 CROSS_COMPILE=x86_64-linux-gnu-",
        ),
    ] {
        let fake = Fake::new(&format!("make-{option}-{machine}"));
        for prefix in ["", "aarch64-linux-gnu-", "x86_64-linux-gnu-"] {
            fake.program(&format!("{prefix}gcc"), "");
        }
        fake.config(&config(option));
        assert_eq!(fake.make(machine), (true, format!("{given}\n")));
    }
}
