//! The recovery table: from what is found of a segment file to what is done.
//!
//! Every combination of facts has exactly one row (`INV-W4`), which a test
//! tries. The crash behind each row is told in `docs/RECOVERY.md`; the
//! decisions are here and nowhere else. The row's letter travels with the
//! verdict into errors, reports and the tool.

use std::fmt;

/// What is known of one segment file.
///
/// A *claim* is a statement, itself checksummed, that records below some lsn
/// were durable or that the segment reaches so far: a sync mark, a seal, or
/// what the successor's header says of its predecessor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    /// No segment has a greater id.
    pub newest: bool,
    /// At least one copy of its header is whole.
    pub header: bool,
    /// It ends in a seal.
    pub sealed: bool,
    /// Its whole frames reach as far as every claim says.
    pub claims_kept: bool,
    /// Behind its last whole frame lie parts of others, or the file is shorter
    /// than it was made.
    pub debris: bool,
    /// Its successor has frames.
    pub successor_used: bool,
}

/// What to do with a segment file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Use it as it is.
    Keep,
    /// Go on appending behind its last frame.
    Resume,
    /// Cut what is behind its last whole frame, and go on in a new segment.
    Cut,
    /// Write the seal that is missing.
    Seal,
    /// Acknowledged data is damaged or missing: refuse, and touch nothing.
    Refuse(&'static str),
}

/// A row of the recovery table, by its letter (see `docs/RECOVERY.md`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Row(char);

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a row asks of a fact.
#[derive(Clone, Copy)]
enum Want {
    Yes,
    No,
    Any,
}

use Verdict::{Cut, Keep, Refuse, Resume, Seal};
use Want::{Any, No, Yes};

const FACTS: usize = 6;

#[rustfmt::skip]
const TABLE: [(char, [Want; FACTS], Verdict); 10] = [
    //    newest header sealed kept debris used
    ('A', [No,  Yes,   Yes,   Yes, Any,   Any], Keep),
    ('B', [Yes, Yes,   No,    Yes, No,    Any], Resume),
    ('C', [Yes, Yes,   No,    Yes, Yes,   Any], Cut),
    ('D', [Yes, Yes,   No,    No,  Any,   Any], Refuse("records that were durable are damaged or missing")),
    ('E', [Yes, Yes,   Yes,   Any, Any,   Any], Refuse("it is sealed, so there must be a later segment, and that is missing")),
    ('F', [Any, No,    Any,   Any, Any,   Any], Refuse("both copies of its header are damaged")),
    ('G', [No,  Yes,   No,    Yes, Any,   No ], Seal),
    ('H', [No,  Yes,   No,    Yes, Any,   Yes], Refuse("its seal is damaged")),
    ('I', [No,  Yes,   No,    No,  Any,   Any], Refuse("it has fewer whole records than the next segment says")),
    ('J', [No,  Yes,   Yes,   No,  Any,   Any], Refuse("records in front of its seal are damaged")),
];

/// The row for links between segments that contradict each other; not decided
/// by facts of one segment alone.
pub(crate) const BROKEN_CHAIN: Row = Row('K');

/// The row for damage that is met while reading or verifying sealed segments.
pub(crate) const DAMAGED_FRAME: Row = Row('J');

/// The one row that fits.
pub(crate) fn decide(facts: Facts) -> (Row, Verdict) {
    for (letter, wants, verdict) in TABLE {
        if fits(facts, wants) {
            return (Row(letter), verdict);
        }
    }
    // `every_set_of_facts_has_exactly_one_row` walks all there are.
    unreachable!("no row for {facts:?}")
}

fn fits(facts: Facts, wants: [Want; FACTS]) -> bool {
    let columns = [
        facts.newest,
        facts.header,
        facts.sealed,
        facts.claims_kept,
        facts.debris,
        facts.successor_used,
    ];
    columns.iter().zip(wants).all(|(fact, want)| match want {
        Yes => *fact,
        No => !*fact,
        Any => true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every_set_of_facts() -> impl Iterator<Item = Facts> {
        (0..1_u8 << FACTS).map(|bits| Facts {
            newest: bits & 1 != 0,
            header: bits & 2 != 0,
            sealed: bits & 4 != 0,
            claims_kept: bits & 8 != 0,
            debris: bits & 16 != 0,
            successor_used: bits & 32 != 0,
        })
    }

    #[test]
    fn every_set_of_facts_has_exactly_one_row() {
        for facts in every_set_of_facts() {
            let rows = TABLE
                .iter()
                .filter(|(_, wants, _)| fits(facts, *wants))
                .count();
            assert_eq!(rows, 1, "INV-W4: {facts:?}");
        }
    }

    #[test]
    fn every_row_is_reachable_and_has_its_own_letter() {
        for (index, (letter, ..)) in TABLE.iter().enumerate() {
            assert_eq!(
                *letter as usize,
                'A' as usize + index,
                "in order, none twice"
            );
            let reached = every_set_of_facts().any(|facts| decide(facts).0 == Row(*letter));
            assert!(reached, "row {letter}");
        }
    }

    #[test]
    fn only_the_newest_segment_is_ever_cut_or_appended_to() {
        for facts in every_set_of_facts().filter(|facts| !facts.newest) {
            let (row, verdict) = decide(facts);
            assert!(
                !matches!(verdict, Cut | Resume),
                "INV-W2: row {row} for {facts:?}"
            );
        }
    }

    #[test]
    fn proven_damage_is_never_cut_as_a_torn_tail() {
        for facts in every_set_of_facts().filter(|facts| !facts.claims_kept && facts.header) {
            let (row, verdict) = decide(facts);
            assert!(
                matches!(verdict, Refuse(_)),
                "INV-W5: row {row} for {facts:?}"
            );
        }
    }
}
