// SPDX-License-Identifier: GPL-2.0-only
//! Tests `cargo xtask setup` on a fake machine: scripts stand for apt, dpkg and id.
//!
//! ```text
//!   bin/     apt-get, apt-cache, dpkg, dpkg-query, dpkg-deb, id     each notes its call in `calls`
//!   installed, architectures, missing, uid                          what they say, and change
//!   cache/   the kernels are there already; busybox and Rust's library are not
//! ```

mod ability;
mod fake;

use std::env;
use std::fs;
use std::ops::Deref;
use std::process::Command;

use ability::cannot;
use fake::Folder;

const APT_GET: &str = r#"
echo "apt-get $*" >>"$FAKE/calls"
verb=
while [ $# != 0 ]; do
	case $1 in
	-o | --target-release) shift ;;
	-*) ;;
	indextargets) printf 'http://mirror/ bookworm main\nhttp://mirror/ bookworm-backports main\n'; exit ;;
	update | install | download) verb=$1 ;;
	*)
		if grep -qx "$1" "$FAKE/missing"; then
			echo "E: Unable to locate package $1" >&2
			exit 100
		fi
		case $verb in
		install) echo "$1" >>"$FAKE/installed" ;;
		download) touch "$1.deb" ;;
		esac
		;;
	esac
	shift
done"#;

const DPKG: &str = r#"
case $1 in
--print-architecture) echo amd64 ;;
--print-foreign-architectures) cat "$FAKE/architectures" ;;
--add-architecture) echo "$2" >>"$FAKE/architectures" ;;
--compare-versions) ;;
esac"#;

const DPKG_QUERY: &str = r#"
[ $# = 4 ] && grep -qx "$4" "$FAKE/installed" && echo "installed 1:10.0"
[ $# = 3 ] && sed 's/$/ installed/' "$FAKE/installed"
true"#;

const DPKG_DEB: &str = r#"mkdir -p "$3/bin"; touch "$3/bin/busybox""#;

/// A machine on which only the system itself is installed.
struct Machine(Folder);

/// The result of a call of `xtask`.
struct Said {
    ended_well: bool,
    text: String,
}

impl Machine {
    /// `None` if the set-up does not support the system that the test runs on.
    fn new(name: &str) -> Option<Self> {
        let system = fs::read_to_string("/etc/os-release").unwrap_or_default();
        let is_known = system.contains("VERSION_CODENAME=bookworm");
        if !is_known {
            cannot("this is not Debian 12");
        }
        is_known.then(|| {
            let machine = Self(Folder::new(&format!("setup-{name}")));
            for (name, script) in [
                ("apt-get", APT_GET),
                ("apt-cache", "true"),
                ("dpkg", DPKG),
                ("dpkg-query", DPKG_QUERY),
                ("dpkg-deb", DPKG_DEB),
                ("id", r#"cat "$FAKE/uid""#),
            ] {
                machine.program(&format!("bin/{name}"), script);
            }
            for empty in ["installed", "architectures", "missing", "calls"] {
                machine.write(empty, "");
            }
            machine.write("uid", "0");
            let unknown = machine.xtask(&["modules", "--kernel", "none"]).text;
            let kernels = unknown.split_once("there are ").unwrap().1;
            for kernel in kernels.trim().split(", ") {
                machine.write(&format!("cache/kernels/{kernel}/release"), "6\n");
            }
            machine
        })
    }

    fn xtask(&self, words: &[&str]) -> Said {
        let path = env::var("PATH").unwrap_or_default();
        let out = Command::new(env!("CARGO_BIN_EXE_xtask"))
            .args(words)
            .env("PATH", format!("{}:{path}", self.join("bin").display()))
            .env("FAKE", &***self)
            .env("OOBKIT_CACHE", self.join("cache"))
            .output()
            .unwrap();
        Said {
            ended_well: out.status.success(),
            text: String::from_utf8(out.stderr).unwrap(),
        }
    }

    /// The calls of apt-get with this verb since the last question.
    fn calls(&self, verb: &str) -> Vec<String> {
        let text = fs::read_to_string(self.join("calls")).unwrap();
        self.write("calls", "");
        let verb = format!(" {verb} ");
        text.lines()
            .filter(|line| format!("{line} ").contains(&verb))
            .map(str::to_owned)
            .collect()
    }
}

impl Deref for Machine {
    type Target = Folder;

    fn deref(&self) -> &Folder {
        &self.0
    }
}

#[test]
fn a_second_set_up_does_nothing() {
    let Some(machine) = Machine::new("twice") else {
        return;
    };
    let first = machine.xtask(&["setup"]);
    assert!(first.ended_well, "{}", first.text);
    let installed = fs::read_to_string(machine.join("installed")).unwrap();
    assert!(installed.contains("rustc-web\n") && installed.contains("qemu-system-arm\n"));
    assert!(machine.join("cache/busybox/arm64/bin/busybox").exists());
    assert!(!machine.calls("install").is_empty());
    let second = machine.xtask(&["setup"]);
    assert!(
        second.ended_well && second.text.is_empty(),
        "{}",
        second.text
    );
    assert_eq!(fs::read_to_string(machine.join("calls")).unwrap(), "");
}

#[test]
fn all_that_only_root_can_bring_is_named_at_once() {
    let Some(machine) = Machine::new("user") else {
        return;
    };
    machine.write("uid", "1000");
    let said = machine.xtask(&["setup"]);
    assert!(!said.ended_well);
    assert_eq!(said.text.lines().count(), 1, "{}", said.text);
    for named in [
        "architecture arm64",
        "rustc-web",
        "qemu-system-arm",
        "as root",
    ] {
        assert!(said.text.contains(named), "{named}: {}", said.text);
    }
    assert_eq!(fs::read_to_string(machine.join("calls")).unwrap(), "");

    // A user without root can still do the rest.
    machine.write("uid", "0");
    assert!(machine.xtask(&["setup"]).ended_well);
    machine.write("uid", "1000");
    fs::remove_dir_all(machine.join("cache/busybox")).unwrap();
    let said = machine.xtask(&["setup"]);
    assert!(said.ended_well, "{}", said.text);
    assert!(machine.join("cache/busybox/arm64/bin/busybox").exists());
}

#[test]
fn a_package_that_cannot_be_had_is_named() {
    let Some(machine) = Machine::new("missing") else {
        return;
    };
    machine.write("missing", "rust-web-src\n");
    let said = machine.xtask(&["setup"]);
    assert!(!said.ended_well);
    assert!(said.text.contains("apt cannot find"), "{}", said.text);
    let of_apt = "Unable to locate package rust-web-src";
    assert!(said.text.contains(of_apt), "{}", said.text);
}

#[test]
fn a_set_up_that_was_cut_off_is_taken_up_where_it_stood() {
    let Some(machine) = Machine::new("cut") else {
        return;
    };
    machine.write("missing", "busybox-static:arm64\n");
    let said = machine.xtask(&["setup"]);
    assert!(!said.ended_well);
    let named = "apt cannot find: busybox-static:arm64";
    assert!(said.text.contains(named), "{}", said.text);
    assert!(!machine.calls("install").is_empty());

    machine.write("missing", "");
    let said = machine.xtask(&["setup"]);
    assert!(said.ended_well, "{}", said.text);
    let calls = fs::read_to_string(machine.join("calls")).unwrap();
    assert!(!calls.contains(" install "), "{calls}");
    assert!(!calls.contains("busybox-static:amd64"), "{calls}");
    assert!(
        calls.contains(" download busybox-static:arm64\n"),
        "{calls}"
    );
}
