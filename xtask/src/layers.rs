//! `cargo xtask layers`: each crate sees the one beneath it and no further.
//!
//! Reads what cargo says about every manifest and what the sources say about
//! themselves, and holds both against one table. What a layer refuses to know
//! is part of the table: threads and the time of day belong to the top layer.
//! What it only offers, as an async runtime, is in no default build of it.

use std::collections::BTreeSet;

use crate::command::Line;
use crate::metadata::{self, Dependency, Kind, Package};
use crate::source::{self, Source};
use crate::{Outcome, no_arguments, none_left};

/// What a crate under `crates/` may see and do.
struct Layer {
    name: &'static str,
    /// The one crate of ours that it may depend on.
    beneath: Option<&'static str>,
    /// The only other crates it may depend on; `None` for any. Tests are free.
    may_use: Option<&'static [&'static str]>,
    /// More of them, behind a feature.
    may_offer: &'static [&'static str],
    unsafe_code: Unsafe,
    /// Whether it may spawn threads and ask for the time of day.
    threads_and_clocks: bool,
}

enum Unsafe {
    Argued,
    InOneFile,
    Forbidden,
}

/// From the bottom up.
const LAYERS: &[Layer] = &[
    Layer {
        name: "log-core",
        beneath: None,
        may_use: Some(&[]),
        may_offer: &[],
        unsafe_code: Unsafe::Argued,
        threads_and_clocks: false,
    },
    Layer {
        name: "log-wal",
        beneath: Some("log-core"),
        may_use: Some(&["bytes", "crc32fast", "rustix", "thiserror", "tracing"]),
        // For the disk that tests simulate.
        may_offer: &["rand"],
        unsafe_code: Unsafe::Forbidden,
        threads_and_clocks: false,
    },
    Layer {
        name: "log-mmap",
        beneath: Some("log-wal"),
        may_use: Some(&[
            "bytes",
            "crc32fast",
            "memmap2",
            "rustix",
            "thiserror",
            "tracing",
        ]),
        may_offer: &[],
        unsafe_code: Unsafe::InOneFile,
        threads_and_clocks: false,
    },
    Layer {
        name: "log-facade",
        beneath: Some("log-mmap"),
        may_use: Some(&["bytes", "crc32fast", "thiserror", "tracing"]),
        may_offer: &[
            "futures-core",
            "metrics",
            "postcard",
            "serde",
            "serde_json",
            "tokio",
        ],
        unsafe_code: Unsafe::Forbidden,
        threads_and_clocks: true,
    },
    Layer {
        name: "log-cli",
        beneath: Some("log-facade"),
        may_use: None,
        may_offer: &[],
        unsafe_code: Unsafe::Forbidden,
        threads_and_clocks: true,
    },
];

/// The schedule checkers replace the standard library under their own cfg.
const CHECKERS: [(&str, &str); 2] = [("loom", "cfg(log_loom)"), ("shuttle", "cfg(log_shuttle)")];

/// How code gets a thread of its own or the time of day. `Instant` is not
/// among them: a deadline needs it, and it says nothing about the calendar. Nor
/// is `spawn_scoped`: such a thread ends with the call that asked for it.
const THREADS_AND_CLOCKS: [&str; 3] = ["thread::spawn", ".spawn(", "SystemTime"];

pub(crate) fn run(arguments: &[String]) -> Outcome {
    no_arguments(arguments)?;
    let packages = metadata::packages()?;
    let mut problems = strangers(&packages);
    for layer in LAYERS {
        let Some(package) = packages.iter().find(|package| package.name == layer.name) else {
            problems.push(format!("{}: no such package", layer.name));
            continue;
        };
        problems.extend(edges(layer, package));
        problems.extend(habits(layer, package, &source::of_package(package)?));
        if !layer.may_offer.is_empty() {
            problems.extend(unasked(layer, &default_tree(layer)?));
        }
        println!("{}", summary(layer, package));
    }
    none_left(&problems)
}

/// One line on what a crate depends on.
fn summary(layer: &Layer, package: &Package) -> String {
    let normal = package
        .dependencies
        .iter()
        .filter(|dependency| dependency.kind != Kind::Dev);
    let names: Vec<_> = normal.map(|dependency| dependency.name.as_str()).collect();
    let (ours, others): (Vec<&str>, Vec<&str>) =
        names.into_iter().partition(|name| place(name).is_some());
    let shown = |names: &[&str]| match names {
        [] => "nothing".to_owned(),
        names => names.join(", "),
    };
    format!(
        "{:<10} -> {:<10} uses {}",
        layer.name,
        shown(&ours),
        shown(&others)
    )
}

/// Packages under `crates/` that the table does not know.
fn strangers(packages: &[Package]) -> Vec<String> {
    let stacked = |package: &&Package| {
        package
            .folder
            .parent()
            .is_some_and(|folder| folder.ends_with("crates"))
    };
    let unknown = packages
        .iter()
        .filter(stacked)
        .filter(|package| place(&package.name).is_none());
    unknown
        .map(|package| format!("{}: in no layer; give it a row", package.name))
        .collect()
}

/// How far up a crate of ours stands.
fn place(name: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.name == name)
}

/// Dependencies that the layer may not have.
fn edges(layer: &Layer, package: &Package) -> Vec<String> {
    let problem = |dependency: &Dependency| {
        let reason = refusal(layer, dependency)?;
        Some(format!("{} -> {}: {reason}", layer.name, dependency.name))
    };
    package.dependencies.iter().filter_map(problem).collect()
}

fn refusal(layer: &Layer, dependency: &Dependency) -> Option<&'static str> {
    let name = dependency.name.as_str();
    if let Some(depth) = place(name) {
        return match dependency.kind {
            // A test may look further down, and at its own crate's features.
            Kind::Dev => (place(layer.name) < Some(depth))
                .then_some("tests call upward, into a higher layer"),
            _ => (layer.beneath != Some(name)).then_some("not the layer directly beneath"),
        };
    }
    let checker = CHECKERS
        .iter()
        .any(|(checker, cfg)| *checker == name && dependency.only_for.as_deref() == Some(*cfg));
    let offered = dependency.optional && layer.may_offer.contains(&name);
    let free = dependency.kind == Kind::Dev || checker || offered;
    let allowed = layer.may_use.is_none_or(|may_use| may_use.contains(&name));
    (!free && !allowed).then_some("not among the crates that this layer may use")
}

/// The crates that a default build of the layer consists of, one a line.
fn default_tree(layer: &Layer) -> Outcome<String> {
    let line = format!("tree -p {} -e normal --prefix none --locked", layer.name);
    let tree = Line::cargo(&line).read()?;
    String::from_utf8(tree).map_err(|e| format!("cargo tree: {e}"))
}

/// Offered crates that a default build has all the same.
fn unasked(layer: &Layer, tree: &str) -> Vec<String> {
    let crates = tree.lines().filter_map(|line| line.split(' ').next());
    let found: BTreeSet<&str> = crates
        .filter(|name| layer.may_offer.contains(name))
        .collect();
    let problem = |name| format!("{} -> {name}: in the default build", layer.name);
    found.into_iter().map(problem).collect()
}

/// Sources that do what the layer refuses to do.
fn habits(layer: &Layer, package: &Package, sources: &[Source]) -> Vec<String> {
    let mut problems = Vec::new();
    match layer.unsafe_code {
        Unsafe::Argued => {}
        Unsafe::InOneFile => problems.extend(scattered_unsafe(sources)),
        Unsafe::Forbidden => problems.extend(missing_forbid(package, sources)),
    }
    if !layer.threads_and_clocks {
        problems.extend(sources.iter().flat_map(threads_and_clocks));
    }
    problems
}

/// More than one shipping file with `unsafe` in it.
fn scattered_unsafe(sources: &[Source]) -> Vec<String> {
    let unsafe_at = |source: &Source| {
        let position = source.words("unsafe").find(|at| !source.is_test_at(*at))?;
        Some(format!(
            "{}:{}",
            source.path.display(),
            source.line(position)
        ))
    };
    let places: Vec<_> = sources.iter().filter_map(unsafe_at).collect();
    if places.len() < 2 {
        return Vec::new();
    }
    vec![format!(
        "unsafe in more than one file: {}",
        places.join(", ")
    )]
}

/// Roots of libraries and binaries that do not forbid unsafe code.
fn missing_forbid(package: &Package, sources: &[Source]) -> Vec<String> {
    let roots = package
        .targets
        .iter()
        .filter(|target| matches!(target.kind.as_str(), "lib" | "bin"))
        .filter_map(|target| {
            sources
                .iter()
                .find(|source| target.file.ends_with(&source.path))
        });
    let open = roots.filter(|root| !root.code.contains("#![forbid(unsafe_code)]"));
    open.map(|root| format!("{}: no #![forbid(unsafe_code)]", root.path.display()))
        .collect()
}

/// Shipping code that starts a thread or asks for the time of day. `INV-F4`
fn threads_and_clocks(source: &Source) -> Vec<String> {
    let mut problems = Vec::new();
    for call in THREADS_AND_CLOCKS {
        for position in source.words(call).filter(|at| !source.is_test_at(*at)) {
            let line = source.line(position);
            let path = source.path.display();
            problems.push(format!(
                "{path}:{line}: `{call}`, which belongs to log-facade"
            ));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::Target;
    use std::path::{Path, PathBuf};

    fn layer(name: &str) -> &'static Layer {
        &LAYERS[place(name).unwrap()]
    }

    fn dependency(name: &str, kind: Kind) -> Dependency {
        Dependency {
            name: name.to_owned(),
            kind,
            optional: false,
            only_for: None,
        }
    }

    fn shipped(path: &str, text: &str) -> Source {
        Source::parse(Path::new(path), text.to_owned(), false)
    }

    #[test]
    fn an_edge_that_skips_a_layer_is_refused() {
        let refused =
            |from: &str, to| refusal(layer(from), &dependency(to, Kind::Normal)).is_some();
        assert!(!refused("log-facade", "log-mmap"));
        assert!(refused("log-facade", "log-wal"), "skips log-mmap");
        assert!(refused("log-facade", "log-core"), "skips two");
        assert!(refused("log-core", "log-wal"), "points up");
        assert!(refused("log-cli", "log-wal"));
    }

    #[test]
    fn tests_may_look_down_and_never_up() {
        let refused = |from: &str, to| refusal(layer(from), &dependency(to, Kind::Dev)).is_some();
        assert!(!refused("log-facade", "log-core"));
        assert!(!refused("log-wal", "log-wal"), "its own features");
        assert!(refused("log-core", "log-wal"));
    }

    #[test]
    fn a_layer_uses_listed_crates_only() {
        let wal = layer("log-wal");
        assert_eq!(refusal(wal, &dependency("crc32fast", Kind::Normal)), None);
        assert!(refusal(wal, &dependency("memmap2", Kind::Normal)).is_some());
        assert!(refusal(wal, &dependency("cc", Kind::Build)).is_some());
        assert_eq!(refusal(wal, &dependency("tempfile", Kind::Dev)), None);
        assert_eq!(
            refusal(layer("log-cli"), &dependency("clap", Kind::Normal)),
            None
        );
    }

    #[test]
    fn a_checker_is_free_under_its_own_cfg_only() {
        let mut loom = dependency("loom", Kind::Normal);
        assert!(refusal(layer("log-core"), &loom).is_some());
        loom.only_for = Some("cfg(log_loom)".to_owned());
        assert_eq!(refusal(layer("log-core"), &loom), None);
    }

    #[test]
    fn an_offered_crate_must_be_optional() {
        let mut tokio = dependency("tokio", Kind::Normal);
        assert!(refusal(layer("log-facade"), &tokio).is_some());
        tokio.optional = true;
        assert_eq!(refusal(layer("log-facade"), &tokio), None);
        assert!(refusal(layer("log-wal"), &tokio).is_some());
    }

    #[test]
    fn an_offered_crate_stays_out_of_the_default_build() {
        let tree = "log-facade v0.1.0 (/w)\ntokio-util v0.7.0\ntracing v0.1.0 (*)\n";
        assert!(unasked(layer("log-facade"), tree).is_empty());
        let tree = format!("{tree}tokio v1.0.0\ntokio v1.0.0 (*)\n");
        assert_eq!(unasked(layer("log-facade"), &tree).len(), 1);
    }

    #[test]
    fn a_crate_without_a_row_is_reported() {
        let package = |folder: &str| Package {
            name: "log-extra".to_owned(),
            folder: PathBuf::from(folder),
            dependencies: Vec::new(),
            targets: Vec::new(),
        };
        assert_eq!(strangers(&[package("/w/crates/log-extra")]).len(), 1);
        assert!(strangers(&[package("/w/fuzz")]).is_empty());
    }

    #[test]
    fn unsafe_stays_in_one_file() {
        let map = shipped("src/map.rs", "unsafe { a() } unsafe { b() }");
        let words = shipped(
            "src/a.rs",
            "// unsafe\n#![forbid(unsafe_code)]\nlet s = \"unsafe\";",
        );
        let test = shipped("src/b.rs", "#[cfg(test)] mod t { fn f() { unsafe {} } }");
        let other = shipped("src/c.rs", "\nunsafe fn f() {}");
        let sources = [map, words, test];
        assert!(scattered_unsafe(&sources).is_empty());
        let [map, words, test] = sources;
        let problems = scattered_unsafe(&[map, words, test, other]);
        assert_eq!(
            problems,
            ["unsafe in more than one file: src/map.rs:1, src/c.rs:2"]
        );
    }

    #[test]
    fn every_root_forbids_unsafe_code() {
        let package = Package {
            name: "log-wal".to_owned(),
            folder: PathBuf::from("/w"),
            dependencies: Vec::new(),
            targets: vec![Target {
                name: "log_wal".to_owned(),
                kind: "lib".to_owned(),
                file: PathBuf::from("/w/src/lib.rs"),
            }],
        };
        let root = |text| missing_forbid(&package, &[shipped("src/lib.rs", text)]);
        assert!(root("#![forbid(unsafe_code)]").is_empty());
        assert_eq!(root("// #![forbid(unsafe_code)]").len(), 1);
        assert_eq!(root("#![deny(unsafe_code)]").len(), 1);
    }

    #[test]
    fn threads_and_clocks_are_found_where_they_ship() {
        let source = shipped(
            "src/a.rs",
            "fn f() { std::thread::spawn(g); }\n#[cfg(test)] mod t { use std::time::SystemTime; }",
        );
        let problems = threads_and_clocks(&source);
        assert_eq!(problems.len(), 1);
        assert!(problems[0].starts_with("src/a.rs:1: `thread::spawn`"));
    }
}
