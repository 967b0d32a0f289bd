//! `cargo xtask api`: API.md names every public verb, and no other.
//!
//! Compared by name and layer. A verb is what is declared `pub fn`, or in a
//! `pub trait`; that such a thing can be reached from the crate's root, the
//! lint `unreachable_pub` sees to. API.md names it in the first column of a
//! table in the layer's section; what it names there must be such a verb, or
//! one that a trait of somebody else's asked for, like `next`. Two types of a
//! layer that have a verb of the same name are not told apart.

use std::collections::{BTreeMap, BTreeSet};

use crate::markdown::{Part, parts};
use crate::metadata;
use crate::source::{self, Source, balanced};
use crate::{Outcome, no_arguments, none_left, workspace};

const DOCUMENT: &str = "API.md";
/// Public so that the macro reaches them: rules to be kept, not called.
const RULES: &str = "crates/log-facade/src/conformance/";
const LAYERS: [&str; 4] = ["log-core", "log-wal", "log-mmap", "log-facade"];

pub(crate) fn run(arguments: &[String]) -> Outcome {
    no_arguments(arguments)?;
    let document = workspace::read(&workspace::root().join(DOCUMENT))?;
    let packages = metadata::packages()?;
    let mut problems = Vec::new();
    for layer in LAYERS {
        let package = packages.iter().find(|package| package.name == layer);
        let package = package.ok_or_else(|| format!("there is no package {layer}"))?;
        let mut sources = source::of_package(package)?;
        let is_rules =
            |source: &Source| source.path.starts_with(RULES) && !source.path.ends_with("mod.rs");
        sources.retain(|source| !is_rules(source));
        let verbs = Verbs::of(&sources);
        let named = named(&document, layer);
        println!("{layer:<10} {:>3} public verbs", verbs.public.len());
        problems.extend(differences(layer, &verbs, &named));
    }
    none_left(&problems)
}

/// What one layer's code has.
#[derive(Debug, Default)]
struct Verbs {
    /// With the place of one declaration.
    public: BTreeMap<String, String>,
    /// What it implements for traits, its own and other ones.
    implemented: BTreeSet<String>,
}

impl Verbs {
    fn of(sources: &[Source]) -> Self {
        let mut verbs = Self::default();
        for source in sources {
            verbs.add(source);
        }
        verbs
    }

    fn add(&mut self, source: &Source) {
        for (name, position) in source.functions() {
            if source.is_test_at(position) {
                continue;
            }
            if is_public(before_on_line(source, position)) {
                self.add_public(name, source, position);
            }
            match source.blocks_around(position) {
                Some(Block::PublicTrait) => self.add_public(name, source, position),
                Some(Block::TraitImpl) => {
                    self.implemented.insert(name.to_owned());
                }
                None => {}
            }
        }
    }

    fn add_public(&mut self, name: &str, source: &Source, position: usize) {
        let place = format!("{}:{}", source.path.display(), source.line(position));
        self.public.entry(name.to_owned()).or_insert(place);
    }
}

/// What kind of item a function may lie in.
enum Block {
    PublicTrait,
    TraitImpl,
}

impl Source {
    /// The public trait, or the implementation of one, that a position lies in.
    fn blocks_around(&self, position: usize) -> Option<Block> {
        let body_holds = |start: usize| {
            let open = start + self.code.get(start..)?.find('{')?;
            balanced(&self.code, open)?
                .contains(&position)
                .then_some(open)
        };
        let traits = self.words("trait").filter(|at| *at < position);
        for start in traits {
            if is_public(before_on_line(self, start)) && body_holds(start).is_some() {
                return Some(Block::PublicTrait);
            }
        }
        let impls = self.words("impl").filter(|at| *at < position);
        for start in impls {
            let begins = matches!(before_on_line(self, start), "" | "unsafe");
            if let Some(open) = begins.then(|| body_holds(start)).flatten() {
                let header = self.code.get(start..open).unwrap_or_default();
                let is_of_trait = header.split_whitespace().any(|word| word == "for");
                return is_of_trait.then_some(Block::TraitImpl);
            }
        }
        None
    }
}

fn before_on_line(source: &Source, position: usize) -> &str {
    let before = source.code.get(..position).unwrap_or_default();
    before.rsplit('\n').next().unwrap_or_default().trim()
}

/// Whether what stands in front of `fn` or `trait` makes it public.
fn is_public(before: &str) -> bool {
    let mut words = before.split_whitespace();
    words.next() == Some("pub") && words.all(|word| matches!(word, "const" | "async" | "unsafe"))
}

/// The verbs that the tables in the section of `layer` name.
fn named(document: &str, layer: &str) -> BTreeSet<String> {
    let mut inside = false;
    let mut named = BTreeSet::new();
    for part in parts(document) {
        match part {
            Part::Heading { level: 2, text, .. } => inside = text == layer,
            Part::Text { text } if inside => named.extend(in_row(text)),
            _ => {}
        }
    }
    named
}

/// The verbs in the first column of one row: `x`, `x(y)`, `T::x(y)`.
fn in_row(line: &str) -> impl Iterator<Item = String> + '_ {
    let cell = line.strip_prefix('|').and_then(|row| row.split('|').next());
    // Every second piece stands between backticks.
    let quoted = cell.unwrap_or_default().split('`').skip(1).step_by(2);
    quoted.filter_map(|code| {
        let path = code.split('(').next()?;
        let name = path.rsplit("::").next()?;
        let is_verb = name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        is_verb.then(|| name.to_owned())
    })
}

fn differences(layer: &str, verbs: &Verbs, named: &BTreeSet<String>) -> Vec<String> {
    let missing = verbs
        .public
        .iter()
        .filter(|(name, _)| !named.contains(*name));
    let missing = missing.map(|(name, place)| {
        format!("{DOCUMENT} does not name `{name}` of {layer}, declared in {place}")
    });
    let there =
        |name: &&String| verbs.public.contains_key(*name) || verbs.implemented.contains(*name);
    let extra = named.iter().filter(|name| !there(name));
    let extra = extra.map(|name| format!("{DOCUMENT} names `{name}`, which {layer} does not have"));
    missing.chain(extra).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const CODE: &str = "
        impl<T> Log<T> {
            /// pub fn in_comment()
            pub fn append(&self) { fn inner() {} }
            pub const fn sized() {}
            pub async fn read() {}
            pub(crate) fn between_us() {}
            fn private() {}
        }
        pub trait Engine { fn keeps(&self) -> u8 { 0 } }
        trait Hidden { fn hidden(); }
        impl Iterator for Log<u8> { fn next(&mut self) {} }
        pub fn free(of: impl Fn()) {}
        #[cfg(test)] mod tests { pub fn helper() {} }
    ";
    const DOCUMENT: &str = "
## log-core

| verb | promise |
|---|---|
| `between_us()` | another layer's |

## log-wal

Text with `words`.

### `Log`

| verb | promise |
|---|---|
| `Log::append(payload)`, `sized` | as `other()` says |
| `Log`: `read(lsn)`, `Engine::keeps()`, `next()`, needs `&mut self` | |
| `free(of)` | |
";

    fn compared(code: &str, document: &str) -> Vec<String> {
        let source = Source::parse(Path::new("src/a.rs"), code.to_owned(), false);
        differences(
            "log-wal",
            &Verbs::of(&[source]),
            &named(document, "log-wal"),
        )
    }

    #[test]
    fn a_document_that_names_every_verb_and_no_other_passes() {
        assert_eq!(compared(CODE, DOCUMENT), [""; 0]);
    }

    #[test]
    fn a_verb_that_the_document_lacks_is_a_problem() {
        for verb in [
            "append(payload)",
            "sized",
            "read(lsn)",
            "keeps()",
            "free(of)",
        ] {
            let name = verb.split('(').next().unwrap();
            let problems = compared(CODE, &DOCUMENT.replace(verb, "Type"));
            assert_eq!(problems.len(), 1, "{problems:?}");
            let expected = format!("does not name `{name}` of log-wal, declared in src/a.rs:");
            assert!(problems[0].contains(&expected), "{problems:?}");
        }
    }

    #[test]
    fn a_verb_that_the_code_lacks_is_a_problem() {
        for name in ["between_us", "private", "hidden", "inner", "helper", "gone"] {
            let document = DOCUMENT.replace("`free(of)`", &format!("`free(of)`, `Log::{name}()`"));
            assert_eq!(
                compared(CODE, &document),
                [format!(
                    "API.md names `{name}`, which log-wal does not have"
                )]
            );
        }
    }

    #[test]
    fn a_section_without_tables_names_nothing() {
        let document = "## log-wal\n\nAll of it: `append(payload)`.\n";
        assert_eq!(compared(CODE, document).len(), 5);
    }
}
