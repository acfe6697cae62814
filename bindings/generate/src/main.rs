// SPDX-License-Identifier: GPL-2.0-only

//! Reads the headers of the kernel that is built for, and writes what crate `bindings` includes.
//!
//! ```text
//!   Kbuild: c_flags, layout.c's assembly  -->  generate-bindings KERNEL_H LAYOUT ARCH OUT  -->  OUT/{bindings,layout}.rs
//! ```
//!
//! A program of its own, so that it is built once for the machine and not once for each kernel.
//! `OOBKIT_CFLAGS` holds the compiler flags that Kbuild uses for a C file of the same module; the
//! working directory is the kernel's build folder, which those flags are relative to. In LAYOUT
//! that compiler wrote down sizes and offsets: what bindgen made of the headers must agree with it,
//! or crate `bindings` does not compile. A file is left alone where its content is the same, so
//! that nothing is built anew for nothing.

use bindgen::callbacks::{ItemInfo, ParseCallbacks};
use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

/// Functions that the kernel exports and the kit's code calls.
const FUNCTIONS: &str = "_printk|misc_(de)?register|kfree|vfree|ktime_get|wake_up_process|schedule(_hrtimeout)?\
    |hrtimer_cancel|for_each_kernel_tracepoint|tracepoint_probe_(un)?register\
    |dma_(alloc|free|mmap)_attrs|capable|free_irq|generic_handle_irq|platform_get_(irq|resource)|device_property_present|devm_(platform_ioremap_resource|ioremap)\
    |platform_(driver|device)_unregister|clk_(get|get_rate|put)|spi_(un)?register_controller\
    |spi_(new|unregister)_device|debugfs_(create_dir|remove)|seq_write|f(get|put)|kernel_write|irq_work_(queue|sync)\
    |__rt_mutex_init|rt_mutex_(lock_interruptible|trylock|unlock)|kthread_bind\
    |ktime_get_mono_fast_ns|evl_(open|release)_file|evl_poll_watch";

/// Types that no function above brings along.
const TYPES: &str = "file_operations|miscdevice|vm_operations_struct|of_device_id|tracepoint|spi_board_info|spi_transfer\
    |spi_message|spi_device|spi_controller|hrtimer|raw_spinlock|rt_mutex|oobkit_work_t|lock_class_key|irqreturn|oobkit_spinlock_t|evl_file|evl_flag|evl_timer|hrtimer_restart";

/// Helpers are called what the inline function or macro behind them is called.
#[derive(Debug)]
struct StripHelperPrefix;

impl ParseCallbacks for StripHelperPrefix {
    fn item_name(&self, item: ItemInfo<'_>) -> Option<String> {
        item.name.strip_prefix("rust_helper_").map(str::to_owned)
    }
}

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [header, layout, arch, out] = &arguments[..] else {
        panic!("usage: generate-bindings KERNEL_H LAYOUT ARCH OUT_DIR");
    };
    let flags = env::var("OOBKIT_CFLAGS").expect("OOBKIT_CFLAGS holds the C compiler's flags");

    let bindings = bindgen::Builder::default()
        .header(header.as_str())
        .clang_args(c_flags(&flags, arch))
        .use_core()
        .ctypes_prefix("core::ffi")
        .layout_tests(false)
        .derive_default(true)
        .derive_debug(false)
        .generate_comments(false)
        .default_enum_style(bindgen::EnumVariation::ModuleConsts)
        .size_t_is_usize(true)
        .parse_callbacks(Box::new(StripHelperPrefix))
        .allowlist_file(".*/bindings/helpers.h")
        .allowlist_function(FUNCTIONS)
        .allowlist_type(TYPES)
        .allowlist_var("CAP_SYS_NICE|IORESOURCE_MEM|TASK_.*|IRQF_.*|SPI_[A-Z]*|MISC_DYNAMIC_MINOR|VM_.*|POLL[A-Z]+|CLOCK_MONOTONIC|E[A-Z0-9]+|__this_module")
        // Types whose layout no driver may depend on, and those that Rust cannot say (packed and
        // aligned at once).
        .opaque_type("alt_instr|desc_struct|gate_struct|idt_.*|x86_.*|local_apic|lapic_.*|xregs_state|fpu.*|arch_lbr_state")
        .opaque_type("spinlock|evl_.*|rt_mutex.*|lockdep_map|task_struct|mm_struct|device|module|file|inode|kiocb")
        .rust_target(bindgen::RustTarget::stable(85, 0).expect("a version that bindgen knows"))
        .rust_edition(bindgen::RustEdition::Edition2024)
        .generate()
        .unwrap_or_else(|error| panic!("the kernel's headers could not be read: {error}"));
    let out = Path::new(out);
    update(&out.join("bindings.rs"), &bindings.to_string());
    let layout = fs::read_to_string(layout).unwrap_or_else(|error| panic!("{layout}: {error}"));
    update(&out.join("layout.rs"), &layout_asserts(&layout));
}

fn update(path: &Path, text: &str) {
    if fs::read_to_string(path).ok().as_deref() != Some(text) {
        fs::write(path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}

/// The flags that decide what a declaration means; the rest are the C compiler's own business and
/// clang may not know them.
fn c_flags(all: &str, arch: &str) -> Vec<String> {
    let clang_target = match arch {
        "arm64" => "aarch64-linux-gnu",
        _ => "x86_64-linux-gnu",
    };
    let mut kept = vec![
        format!("--target={clang_target}"),
        "-Wno-everything".into(),
        "-D__BINDGEN__".into(),
    ];
    let mut words = all.split_whitespace();
    while let Some(word) = words.next() {
        match word {
            "-include" | "-isystem" | "-I" | "-D" => {
                kept.push(word.to_owned());
                kept.extend(words.next().map(str::to_owned));
            }
            "-nostdinc" | "-fshort-wchar" | "-funsigned-char" | "-fms-extensions" => {
                kept.push(word.to_owned())
            }
            _ if ["-I", "-D", "-U", "-std="]
                .iter()
                .any(|start| word.starts_with(start)) =>
            {
                // The quotes that a shell would take away; those inside are a string literal's.
                kept.push(word.replace('\'', ""));
            }
            _ => {}
        }
    }
    kept
}

/// Lines `->size STRUCT N` and `->offset STRUCT FIELD N` become compile-time assertions, the others
/// what crate `bindings` reads by.
fn layout_asserts(assembly: &str) -> String {
    let mut out = String::new();
    for line in assembly.lines() {
        let Some((_, fact)) = line.split_once("->") else {
            continue;
        };
        let words: Vec<_> = fact
            .split(['"', ' ', '$', '#'])
            .filter(|word| !word.is_empty())
            .collect();
        match words[..] {
            ["size", name, n] => {
                writeln!(
                    out,
                    "const _: () = assert!(size_of::<{name}>() == {n}, \
                     \"struct {name}: the C compiler gives it {n} bytes, bindgen does not\");"
                )
            }
            ["offset", name, field, n] => {
                writeln!(
                    out,
                    "const _: () = assert!(core::mem::offset_of!({name}, {field}) == {n}, \
                     \"struct {name}: the C compiler has {field} at {n}, bindgen does not\");"
                )
            }
            ["private", n] => {
                writeln!(out, "pub(crate) const FILE_PRIVATE_DATA: usize = {n};")
            }
            ["current", symbol, n] => {
                let operand = format!("gs:[rip + {symbol} + {n}]");
                writeln!(out, "macro_rules! current {{ () => {{ \"{operand}\" }} }}")
            }
            _ => panic!("layout.c: cannot read '{line}'"),
        }
        .expect("a String takes text");
    }
    assert!(!out.is_empty(), "layout.c yielded no facts");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_flags_that_decide_what_a_declaration_means_are_kept() {
        let flags = "-Wall -nostdinc -I./include -I ./arch -include ./kconfig.h -Wp,-MMD,x.d -std=gnu11 -mno-sse \
                     -fshort-wchar -falign-functions=16 -DKBUILD_MODNAME='\"m\"' -D__KERNEL__ -UMODULE -O2";
        assert_eq!(
            c_flags(flags, "x86").join(" "),
            "--target=x86_64-linux-gnu -Wno-everything -D__BINDGEN__ -nostdinc -I./include -I ./arch \
             -include ./kconfig.h -std=gnu11 -fshort-wchar -DKBUILD_MODNAME=\"m\" -D__KERNEL__ -UMODULE"
        );
        assert_eq!(c_flags("", "arm64")[0], "--target=aarch64-linux-gnu");
    }

    /// As gcc writes them for x86_64 (`$`) and for arm64 (none), between its own lines.
    #[test]
    fn facts_become_assertions_and_constants() {
        let text = layout_asserts(
            "\t.text\n\t.ascii \"->size file $232\"\n\t.ascii \"->offset file f_mode 12\"\n#NO_APP\n\
             \t.ascii \"->private $32\"\n\t.ascii \"->current pcpu_hot $0\"\n",
        );
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 4, "{text}");
        assert!(lines[0].contains("size_of::<file>() == 232,"), "{text}");
        assert!(
            lines[1].contains("offset_of!(file, f_mode) == 12,"),
            "{text}"
        );
        assert_eq!(lines[2], "pub(crate) const FILE_PRIVATE_DATA: usize = 32;");
        assert!(lines[3].contains("gs:[rip + pcpu_hot + 0]"), "{text}");
    }

    #[test]
    #[should_panic(expected = "cannot read")]
    fn a_fact_of_no_known_kind_stops_the_build() {
        layout_asserts("->sise file 232\n");
    }

    #[test]
    #[should_panic(expected = "no facts")]
    fn assembly_without_facts_stops_the_build() {
        layout_asserts("\t.text\n");
    }
}
