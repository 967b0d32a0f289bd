//! Mutations that nothing catches, each with the reason why that is right.
//!
//! One a line: `file | function | call | change | reason`, as the table prints
//! them. Lines that start with `#` are comments.

use crate::Outcome;
use crate::mutate_orderings::mutation::Mutation;

/// The list, as read.
#[derive(Debug)]
pub(crate) struct Allowed {
    entries: Vec<Entry>,
}

#[derive(Debug, PartialEq, Eq)]
struct Entry {
    line: usize,
    /// As [`Mutation::place`] gives it.
    place: String,
    reason: String,
}

impl Allowed {
    pub(crate) fn parse(text: &str) -> Outcome<Self> {
        let lines = text.lines().enumerate();
        let entries = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        let entries = entries.map(|(at, line)| entry(at + 1, line));
        Ok(Self {
            entries: entries.collect::<Outcome<_>>()?,
        })
    }

    /// Why a mutation may survive, if somebody said so.
    pub(crate) fn reason(&self, mutation: &Mutation) -> Option<&str> {
        let place = mutation.place();
        let entry = self.entries.iter().find(|entry| entry.place == place)?;
        Some(&entry.reason)
    }

    /// Entries that excuse nothing any more: their mutation is not there, or
    /// it does not survive.
    pub(crate) fn stale(&self, survivors: &[&Mutation]) -> Vec<String> {
        let excuses = |entry: &&Entry| {
            survivors
                .iter()
                .any(|mutation| mutation.place() == entry.place)
        };
        let stale = self.entries.iter().filter(|entry| !excuses(entry));
        stale
            .map(|entry| format!("line {}: {}", entry.line, entry.place))
            .collect()
    }
}

fn entry(line: usize, text: &str) -> Outcome<Entry> {
    let fields: Vec<_> = text.split('|').map(str::trim).collect();
    match fields.as_slice() {
        [place @ .., reason] if place.len() == 4 && !reason.is_empty() => Ok(Entry {
            line,
            place: place.join(" | "),
            reason: (*reason).to_owned(),
        }),
        _ => Err(format!(
            "line {line}: expected `file | function | call | change | reason`"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mutate_orderings::mutation::mutations;
    use crate::source::Source;
    use std::path::Path;

    const LIST: &str = "\
# why these may survive

src/a.rs | f | x.load | Acquire -> Relaxed | the lock orders it
src/a.rs | gone | x.load | Acquire -> Relaxed | not there any more
";

    #[test]
    fn an_entry_excuses_the_place_that_it_names_and_no_other() {
        let text = "fn f() { x.load(Acquire); y.load(Acquire) }".to_owned();
        let found = mutations(&Source::parse(Path::new("src/a.rs"), text, false), &[]);
        let allowed = Allowed::parse(LIST).unwrap();
        assert_eq!(allowed.reason(&found[0]), Some("the lock orders it"));
        assert_eq!(allowed.reason(&found[1]), None);
        let stale = allowed.stale(&found.iter().collect::<Vec<_>>());
        assert_eq!(
            stale,
            ["line 4: src/a.rs | gone | x.load | Acquire -> Relaxed"]
        );
    }

    #[test]
    fn an_entry_without_a_reason_is_refused() {
        for line in [
            "src/a.rs | f | x.load | Acquire -> Relaxed",
            "a | b | c | d |",
            "x",
        ] {
            assert!(
                Allowed::parse(line).unwrap_err().starts_with("line 1: "),
                "{line}"
            );
        }
    }
}
