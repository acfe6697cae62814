// SPDX-License-Identifier: GPL-2.0-only
//! `kernel/examples/promises.rs` has every in-band service.
//!
//! A service is a public function that takes the in-band token. It is in the example if a line
//! calls it as `module::Type::name(stage`, `module::name(stage`, or `.name(stage` of a
//! `module::Type`. The crates `oob` and `stax` count as one module each.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{fs, io};

use syn::visit::{self, Visit};
use syn::{FnArg, ImplItemFn, ItemFn, ItemImpl, ItemMod, Signature, Type, Visibility};

fn repo() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Service {
    module: String,
    /// `None`: a free function.
    of: Option<String>,
    is_method: bool,
    name: String,
}

impl Service {
    fn is_called_by(&self, line: &str) -> bool {
        let Self { module, name, .. } = self;
        let path = match &self.of {
            Some(of) => format!("{module}::{of}"),
            None => format!("{module}::{name}"),
        };
        let Some((_, after)) = line.split_once(&path) else {
            return false;
        };
        if self.of.is_none() {
            return called_with_token(after);
        }
        match self.is_method {
            true => after
                .split_once(&format!(".{name}"))
                .is_some_and(|(_, after)| called_with_token(after)),
            false => without_generics(after)
                .strip_prefix(&format!("::{name}"))
                .is_some_and(called_with_token),
        }
    }
}

/// The rest after `<...>` or `::<...>`.
fn without_generics(after: &str) -> &str {
    let generics = after.strip_prefix("::").unwrap_or(after);
    if !generics.starts_with('<') {
        return after;
    }
    let mut depth = 0_usize;
    let end = generics.find(|c| {
        match c {
            '<' => depth += 1,
            '>' => depth -= 1,
            _ => {}
        }
        depth == 0
    });
    end.map_or("", |end| &generics[end + 1..])
}

/// Whether the call passes the token after the function's name.
fn called_with_token(after: &str) -> bool {
    without_generics(after).starts_with("(stage")
}

/// The services of a file.
struct Services<'a> {
    module: &'a str,
    of: Option<String>,
    found: &'a mut BTreeSet<Service>,
}

impl Services<'_> {
    fn add(&mut self, visibility: &Visibility, signature: &Signature) {
        let takes_token = signature.inputs.iter().any(|input| {
            let FnArg::Typed(argument) = input else {
                return false;
            };
            matches!(&*argument.ty, Type::Reference(to) if last(&to.elem) == "Inband")
        });
        if takes_token && matches!(visibility, Visibility::Public(_)) {
            self.found.insert(Service {
                module: self.module.to_owned(),
                of: self.of.clone(),
                is_method: signature.receiver().is_some(),
                name: signature.ident.to_string(),
            });
        }
    }
}

/// A type's name without its path and generic arguments.
fn last(of: &Type) -> String {
    let segment = match of {
        Type::Path(path) => path.path.segments.last(),
        _ => None,
    };
    segment.map_or_else(String::new, |segment| segment.ident.to_string())
}

impl<'a> Visit<'a> for Services<'_> {
    fn visit_item_impl(&mut self, item: &'a ItemImpl) {
        // Kernel code uses this name for the timer of either core.
        let name = last(&item.self_ty);
        self.of = Some(match name.as_str() {
            "HrTimer" | "EvlTimer" => "HardTimer".to_owned(),
            _ => name,
        });
        visit::visit_item_impl(self, item);
        self.of = None;
    }

    fn visit_impl_item_fn(&mut self, item: &'a ImplItemFn) {
        self.add(&item.vis, &item.sig);
    }

    fn visit_item_fn(&mut self, item: &'a ItemFn) {
        self.add(&item.vis, &item.sig);
    }

    fn visit_item_mod(&mut self, item: &'a ItemMod) {
        if item.ident != "tests" {
            visit::visit_item_mod(self, item);
        }
    }
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            sources(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    Ok(())
}

/// All services of the crate.
fn services(krate: &str, found: &mut BTreeSet<Service>) {
    let root = repo().join(krate).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files).unwrap();
    for file in files {
        let inside = file.strip_prefix(&root).unwrap();
        let first = Path::new(inside.iter().next().unwrap()).file_stem();
        let module = match (krate, first.and_then(|first| first.to_str()).unwrap()) {
            // The host core has a list of its own, and `kernel_core::Relay` has private services.
            ("oob", _) if inside == Path::new("services/relay.rs") => continue,
            ("oob", _)
                if inside.starts_with("cores/host") || inside.starts_with("cores/host.rs") =>
            {
                continue;
            }
            ("oob", _) => "kernel_core",
            ("kernel", module) => module,
            (krate, _) => krate,
        };
        let text = fs::read_to_string(&file).unwrap();
        let of = None;
        Services { module, of, found }.visit_file(&syn::parse_file(&text).unwrap());
    }
}

#[test]
fn every_service_of_inbands_own_is_among_the_promises() {
    let mut all = BTreeSet::new();
    ["kernel", "oob", "stax"]
        .iter()
        .for_each(|krate| services(krate, &mut all));
    assert!(all.len() > 40, "{all:#?}");
    let example = fs::read_to_string(repo().join("kernel/examples/promises.rs")).unwrap();
    let missing: Vec<_> = all
        .iter()
        .filter(|service| !example.lines().any(|line| service.is_called_by(line)))
        .collect();
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn a_call_is_known_by_its_module_and_its_type() {
    let service = |of: Option<&str>, is_method, name: &str| Service {
        module: "time".to_owned(),
        of: of.map(str::to_owned),
        is_method,
        name: name.to_owned(),
    };
    let new = service(Some("Timer"), false, "new");
    assert!(
        new.is_called_by("new_timer: |stage| time::Timer::<(), Vec<u8>>::new::<u8>(stage, 1);")
    );
    assert!(new.is_called_by("new_timer: |stage| time::Timer::new(stage);"));
    assert!(!new.is_called_by("new_timer: |stage| other::Timer::new(stage);"));
    assert!(!new.is_called_by("new_timer: |stage| time::Timers::new(stage);"));
    assert!(!new.is_called_by("new_timer: |stage| time::Timer::newest(stage);"));
    let stop = service(Some("Timer"), true, "stop");
    assert!(stop.is_called_by("stop: |stage, t: &time::Timer<()>| t.stop(stage);"));
    assert!(!stop.is_called_by("stop: |stage, t: &Timer<()>| t.stop(stage);"));
    let sleep = service(None, false, "sleep");
    assert!(sleep.is_called_by("sleep: |stage| time::sleep(stage, 1);"));
    assert!(!sleep.is_called_by("sleep: |stage| sleep(stage, 1);"));
}
