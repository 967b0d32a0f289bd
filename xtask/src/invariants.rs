//! `cargo xtask invariants`: who states, keeps and checks each invariant.
//!
//! INVARIANTS.md states them. A mention of a number in code that ships keeps
//! it; a mention inside a test function, or in its comment, checks it. The
//! table says who does, and the run fails on an invariant that nobody keeps or
//! no test checks, on a number that is not stated, and on a name in
//! INVARIANTS.md that the code no longer has.

use std::collections::{BTreeMap, BTreeSet};

use crate::markdown::{Part, parts};
use crate::metadata;
use crate::source::{self, Source};
use crate::{Outcome, no_arguments, none_left, workspace};

const DOCUMENT: &str = "INVARIANTS.md";
const PREFIX: &str = "INV-";
/// All of it counts as test code.
const SOURCE_CHECK: &str = "xtask/src/layers.rs";

pub(crate) fn run(arguments: &[String]) -> Outcome {
    no_arguments(arguments)?;
    let stated = stated(&workspace::read(&workspace::root().join(DOCUMENT))?)?;
    let sources = sources()?;
    let mentions = mentions(&sources);
    for invariant in &stated {
        print!("{}", shown(invariant, mentions.get(&invariant.number)));
    }
    let mut problems = unstated(&stated, &mentions);
    for invariant in &stated {
        let mentions = mentions.get(&invariant.number);
        problems.extend(unfulfilled(
            invariant,
            mentions.unwrap_or(&Mentions::default()),
        ));
        problems.extend(lost_names(invariant, &sources));
    }
    none_left(&problems)
}

/// Every file of the crates and of the benchmarks, and the one check of ours
/// that looks at sources instead of running them.
fn sources() -> Outcome<Vec<Source>> {
    let mut sources = Vec::new();
    for package in &metadata::packages()? {
        let mut of_package = source::of_package(package)?;
        if package.name == "xtask" {
            of_package.retain(|source| source.path.ends_with(SOURCE_CHECK));
            of_package
                .iter_mut()
                .for_each(|source| source.is_test = true);
        }
        sources.append(&mut of_package);
    }
    Ok(sources)
}

/// One entry of INVARIANTS.md.
#[derive(Debug, PartialEq, Eq)]
struct Invariant {
    /// Such as `INV-C2`.
    number: String,
    title: String,
    line: usize,
    /// Stated ahead of the code that will keep it.
    planned: bool,
    kept_by: Vec<String>,
    checked_by: Vec<String>,
}

/// Reads the entries: a heading `### INV-C2 title`, then its lines.
fn stated(document: &str) -> Outcome<Vec<Invariant>> {
    let mut stated: Vec<Invariant> = Vec::new();
    let mut inside = false;
    let mut label = String::new();
    for part in parts(document) {
        match part {
            Part::Heading { text, line, .. } => {
                inside = text.starts_with(PREFIX);
                label.clear();
                if inside {
                    stated.push(entry(text, line)?);
                }
            }
            Part::Text { text } if inside => {
                let Some(invariant) = stated.last_mut() else {
                    continue;
                };
                if let Some(new) = label_of(text) {
                    label = new;
                }
                match label.as_str() {
                    "Status" => invariant.planned |= text.contains("planned"),
                    "Kept by" => invariant.kept_by.extend(names(text)),
                    "Checked by" => invariant.checked_by.extend(names(text)),
                    _ => {}
                }
            }
            _ => {}
        }
    }
    for (at, invariant) in stated.iter().enumerate() {
        if stated[..at]
            .iter()
            .any(|earlier| earlier.number == invariant.number)
        {
            return Err(format!(
                "{DOCUMENT}:{}: {} again",
                invariant.line, invariant.number
            ));
        }
    }
    match stated.is_empty() {
        true => Err(format!("{DOCUMENT}: no heading `### {PREFIX}..`")),
        false => Ok(stated),
    }
}

fn entry(heading: &str, line: usize) -> Outcome<Invariant> {
    let (number, title) = heading.split_once(' ').unwrap_or((heading, ""));
    if numbers(number).next().map(|(_, number)| number) != Some(number) || title.is_empty() {
        return Err(format!(
            "{DOCUMENT}:{line}: expected `{PREFIX}<letter><number> <title>`"
        ));
    }
    Ok(Invariant {
        number: number.to_owned(),
        title: title.to_owned(),
        line,
        planned: false,
        kept_by: Vec::new(),
        checked_by: Vec::new(),
    })
}

/// The label that a line of an entry begins with: `- **Kept by** ..`.
fn label_of(text: &str) -> Option<String> {
    let (label, _) = text
        .trim_start_matches(['-', ' '])
        .strip_prefix("**")?
        .split_once("**")?;
    Some(label.to_owned())
}

/// Names in backticks that stand for code: no command lines, no formulas.
fn names(text: &str) -> Vec<String> {
    let quoted = text.split('`').skip(1).step_by(2);
    let is_name = |name: &&str| {
        let part_of_name = |c: char| c.is_ascii_alphanumeric() || "_:/.-".contains(c);
        name.len() > 1 && name.chars().all(part_of_name) && !name.starts_with(PREFIX)
    };
    quoted.filter(is_name).map(str::to_owned).collect()
}

/// Who mentions one number.
#[derive(Debug, Default)]
struct Mentions {
    keeps: BTreeSet<String>,
    checks: BTreeSet<String>,
    /// The first place of all.
    first: String,
}

fn mentions(sources: &[Source]) -> BTreeMap<String, Mentions> {
    let mut mentions: BTreeMap<String, Mentions> = BTreeMap::new();
    for source in sources {
        for (position, number) in numbers(&source.text) {
            let path = source.path.display();
            let entry = mentions.entry(number.to_owned()).or_default();
            if entry.first.is_empty() {
                entry.first = format!("{path}:{}", source.line(position));
            }
            match (source.is_test_at(position), source.function_at(position)) {
                (true, Some(test)) => entry.checks.insert(format!("{path} {test}")),
                // In the story of a test file a number is only announced.
                (true, None) => false,
                (false, Some(function)) => entry.keeps.insert(format!("{path} {function}")),
                (false, None) => entry.keeps.insert(path.to_string()),
            };
        }
    }
    mentions
}

/// Every `INV-` number in a text, with its position.
fn numbers(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.match_indices(PREFIX).filter_map(move |(at, _)| {
        let behind = &text[at + PREFIX.len()..];
        let letter = behind.chars().next().filter(char::is_ascii_uppercase)?;
        let is_digit = |c: &char| c.is_ascii_digit();
        let digits = behind.chars().skip(1).take_while(is_digit).count();
        let end = at + PREFIX.len() + letter.len_utf8() + digits;
        (digits > 0).then(|| (at, &text[at..end]))
    })
}

/// The table's rows for one invariant.
fn shown(invariant: &Invariant, mentions: Option<&Mentions>) -> String {
    let planned = if invariant.planned { "  (planned)" } else { "" };
    let mut rows = format!("{} {}{planned}\n", invariant.number, invariant.title);
    rows.push_str(&format!("    states {DOCUMENT}:{}\n", invariant.line));
    if let Some(mentions) = mentions {
        mentions
            .keeps
            .iter()
            .for_each(|place| rows.push_str(&format!("    keeps  {place}\n")));
        mentions
            .checks
            .iter()
            .for_each(|place| rows.push_str(&format!("    checks {place}\n")));
    }
    rows
}

/// Numbers that are mentioned and not stated.
fn unstated(stated: &[Invariant], mentions: &BTreeMap<String, Mentions>) -> Vec<String> {
    let is_stated = |number: &str| stated.iter().any(|invariant| invariant.number == number);
    let unknown = mentions.iter().filter(|(number, _)| !is_stated(number));
    unknown
        .map(|(number, mentions)| format!("{}: {DOCUMENT} states no {number}", mentions.first))
        .collect()
}

/// What an invariant still lacks, or no longer lacks.
fn unfulfilled(invariant: &Invariant, mentions: &Mentions) -> Vec<String> {
    let mut problems = Vec::new();
    if invariant.planned {
        if !mentions.checks.is_empty() {
            problems.push("is marked as planned, but a test checks it");
        }
    } else {
        if mentions.keeps.is_empty() {
            problems.push("is kept by nobody");
        }
        if mentions.checks.is_empty() {
            problems.push("is checked by no test");
        }
    }
    let problem = |problem| {
        format!(
            "{DOCUMENT}:{}: {} {problem}",
            invariant.line, invariant.number
        )
    };
    problems.into_iter().map(problem).collect()
}

/// Names under *Kept by* and *Checked by* that the code does not have.
fn lost_names(invariant: &Invariant, sources: &[Source]) -> Vec<String> {
    let kept = invariant.kept_by.iter().map(|name| (name, false));
    let checked = invariant.checked_by.iter().map(|name| (name, true));
    let lost = kept
        .chain(checked)
        .filter(|(name, in_tests)| !exists(name, *in_tests, sources));
    let problem = |(name, in_tests)| {
        let role = if in_tests { "test" } else { "code" };
        let number = &invariant.number;
        format!(
            "{DOCUMENT}:{}: {number} names `{name}`, which no {role} has",
            invariant.line
        )
    };
    lost.map(problem).collect()
}

/// Whether a file is there, or each part of a path such as `Watermark::get`.
fn exists(name: &str, in_tests: bool, sources: &[Source]) -> bool {
    if name.contains('/') {
        return workspace::root().join(name).exists();
    }
    let stands_in = |source: &Source, word: &str| {
        let mut places = source.words(word);
        places.any(|position| source.is_test_at(position) == in_tests)
    };
    name.split("::")
        .all(|word| sources.iter().any(|source| stands_in(source, word)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    const DOCUMENT_TEXT: &str = "\
# Invariants
## Core
### INV-C1 Lsns are dense
- **Says** they grow by one.
- **Kept by** `Watermark::advance_to`, `advance` (`fetch_max`),
  and `a > b`.
- **Checked by** `a_mark_only_rises`, `cargo xtask loom`
### INV-F3 No gap
- **Says** nothing is missed.
- **Status** planned
## Notes
INV-X9 is not stated here.
";

    fn source(path: &str, text: &str, is_test: bool) -> Source {
        Source::parse(Path::new(path), text.to_owned(), is_test)
    }

    fn invariant(number: &str, planned: bool) -> Invariant {
        Invariant {
            planned,
            ..entry(&format!("{number} title"), 1).unwrap()
        }
    }

    #[test]
    fn entries_are_read_with_their_status_and_names() {
        let stated = stated(DOCUMENT_TEXT).unwrap();
        let [dense, gap] = stated.as_slice() else {
            panic!("two entries");
        };
        assert_eq!((dense.number.as_str(), dense.line), ("INV-C1", 3));
        assert_eq!(dense.title, "Lsns are dense");
        assert_eq!(
            dense.kept_by,
            ["Watermark::advance_to", "advance", "fetch_max"]
        );
        assert_eq!(dense.checked_by, ["a_mark_only_rises"]);
        assert!(!dense.planned);
        assert!(gap.planned);
    }

    #[test]
    fn a_number_is_stated_once_and_whole() {
        let twice = "### INV-C1 one\n### INV-C1 two";
        assert_eq!(stated(twice).unwrap_err(), "INVARIANTS.md:2: INV-C1 again");
        assert!(stated("### INV-C no number").is_err());
        assert!(stated("### INV-C1").is_err(), "a title is needed");
        assert!(stated("nothing").is_err());
    }

    #[test]
    fn a_mention_keeps_or_checks_by_where_it_stands() {
        let shipped = "
            //! Promises INV-C1.
            /// `INV-C2`
            pub fn keep() {}
            #[cfg(test)]
            mod tests { #[test] fn check() { assert!(true, \"INV-C2: so\"); } }
        ";
        let test = "//! INV-C3 is announced.\n#[test] fn t() { /* INV-C1 */ }";
        let mentions = mentions(&[
            source("src/a.rs", shipped, false),
            source("tests/b.rs", test, true),
        ]);
        let places = |places: &BTreeSet<String>| places.iter().cloned().collect::<Vec<_>>();
        assert_eq!(places(&mentions["INV-C1"].keeps), ["src/a.rs"]);
        assert_eq!(places(&mentions["INV-C1"].checks), ["tests/b.rs t"]);
        assert_eq!(places(&mentions["INV-C2"].keeps), ["src/a.rs keep"]);
        assert_eq!(places(&mentions["INV-C2"].checks), ["src/a.rs check"]);
        assert!(
            mentions["INV-C3"].checks.is_empty(),
            "an announcement is no check"
        );
    }

    #[test]
    fn what_is_missing_or_too_much_is_reported() {
        let one = || BTreeSet::from(["somewhere".to_owned()]);
        let none = BTreeSet::new;
        let cases = [
            (false, one(), one(), 0),
            (false, none(), one(), 1),
            (false, one(), none(), 1),
            (false, none(), none(), 2),
            (true, none(), none(), 0),
            (true, one(), none(), 0),
            (true, one(), one(), 1),
        ];
        for (planned, keeps, checks, problems) in cases {
            let mentions = Mentions {
                keeps,
                checks,
                first: String::new(),
            };
            let found = unfulfilled(&invariant("INV-C1", planned), &mentions);
            assert_eq!(found.len(), problems, "{planned} {mentions:?}");
        }
    }

    #[test]
    fn a_number_that_is_not_stated_is_reported_with_its_place() {
        let mentions = mentions(&[source("src/a.rs", "\n// INV-Z7\nfn f() {}", false)]);
        let problems = unstated(&[invariant("INV-C1", false)], &mentions);
        assert_eq!(problems, ["src/a.rs:2: INVARIANTS.md states no INV-Z7"]);
    }

    #[test]
    fn a_name_that_the_code_lost_is_reported() {
        let sources = [
            source(
                "src/a.rs",
                "impl Mark { fn advance_to() {} } // gone",
                false,
            ),
            source("tests/b.rs", "#[test] fn it_rises() {}", true),
        ];
        let names = |kept_by: &[&str], checked_by: &[&str]| {
            let owned = |names: &[&str]| names.iter().map(ToString::to_string).collect();
            let (kept_by, checked_by) = (owned(kept_by), owned(checked_by));
            let invariant = Invariant {
                kept_by,
                checked_by,
                ..invariant("INV-C1", false)
            };
            lost_names(&invariant, &sources).len()
        };
        assert_eq!(
            names(&["Mark::advance_to", "Cargo.toml/"], &["it_rises"]),
            1
        );
        assert_eq!(names(&["xtask/Cargo.toml"], &[]), 0);
        assert_eq!(names(&["gone"], &[]), 1, "a comment is not code");
        assert_eq!(names(&["Gone::advance_to"], &[]), 1, "nor is half a path");
        assert_eq!(
            names(&["it_rises"], &["advance_to"]),
            2,
            "each in its place"
        );
    }
}
