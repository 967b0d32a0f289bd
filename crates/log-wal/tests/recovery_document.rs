//! `docs/RECOVERY.md` tells a story for each row of the recovery table, and
//! for no other.

use std::collections::BTreeMap;

const DOCUMENT: &str = include_str!("../../../docs/RECOVERY.md");
const TABLE: &str = include_str!("../src/recovery/table.rs");

/// Every row that the code can answer with, and what it says when it refuses.
fn rows() -> BTreeMap<char, Option<&'static str>> {
    let table = TABLE.lines().filter_map(|line| {
        let row = line.trim_start().strip_prefix("('")?;
        let reason = row.split_once("Refuse(\"").map(|(_, behind)| behind);
        let reason = reason.and_then(|behind| behind.split_once('"'));
        Some((row.chars().next()?, reason.map(|(reason, _)| reason)))
    });
    let beside_it = TABLE.lines().filter_map(|line| {
        let row = line.strip_prefix("pub(crate) const")?;
        let (_, letter) = row.split_once("= Row('")?;
        Some((letter.chars().next()?, None))
    });
    // The table last, which knows the reasons.
    beside_it.chain(table).collect()
}

/// The stories, by the letters of their headings.
fn stories() -> Vec<(char, &'static str)> {
    let sections = DOCUMENT.split("\n### ").skip(1);
    sections
        .map(|section| {
            let (letter, behind) = section.split_once(": ").expect("### letter: title");
            let letter: char = letter.parse().expect("one letter");
            let story = behind.split("\n## ").next().unwrap_or_default();
            (letter, story)
        })
        .collect()
}

#[test]
fn every_row_has_its_story_and_every_story_its_row() {
    let rows: Vec<_> = rows().into_keys().collect();
    let stories: Vec<_> = stories().into_iter().map(|(letter, _)| letter).collect();
    assert!(rows.len() >= 11, "the table was read: {rows:?}");
    assert_eq!(stories, rows, "INV-W4: headings in order, none twice");
}

#[test]
fn each_story_says_what_happened_what_is_found_done_and_seen_and_what_to_do() {
    for (letter, story) in stories() {
        for part in ["*Story.*", "*Found.*", "*Done.*", "*Seen.*", "*To do.*"] {
            assert_eq!(story.matches(part).count(), 1, "row {letter}: {part}");
        }
    }
}

#[test]
fn a_story_refuses_exactly_where_the_code_does() {
    let rows = rows();
    for (letter, story) in stories() {
        // What is beside the table is decided by a refusal of its own.
        let refuses = rows[&letter].is_some() || letter == 'K';
        let (_, done) = story.split_once("*Done.*").expect("checked above");
        let (done, _) = done.split_once("*Seen.*").expect("checked above");
        assert_eq!(
            done.to_lowercase().contains("refused"),
            refuses,
            "row {letter}: {done}"
        );
    }
}

#[test]
fn the_table_of_contents_links_to_every_story() {
    for section in DOCUMENT.split("\n### ").skip(1) {
        let heading = section.lines().next().unwrap_or_default();
        let letter = heading.chars().next().expect("a letter");
        let anchor: String = heading
            .to_lowercase()
            .chars()
            .filter(|letter| letter.is_alphanumeric() || *letter == ' ')
            .map(|letter| if letter == ' ' { '-' } else { letter })
            .collect();
        let entry = format!("| [{letter}](#{anchor}) |");
        assert!(DOCUMENT.contains(&entry), "{entry}");
    }
}
