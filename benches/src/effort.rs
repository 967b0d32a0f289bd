//! How much to measure, and what.

use std::env;

/// Taken from the command line: `cargo bench` measures in full, anything else
/// only tries whether it works. A word selects the contests whose titles
/// contain it.
#[derive(Debug)]
pub struct Effort {
    is_full: bool,
    words: Vec<String>,
}

impl Effort {
    /// As the command line says.
    #[must_use]
    pub fn from_args() -> Self {
        let arguments: Vec<String> = env::args().skip(1).collect();
        let has = |option: &str| arguments.iter().any(|argument| argument == option);
        Self {
            is_full: has("--bench") && !has("--quick"),
            words: arguments
                .iter()
                .filter(|argument| !argument.starts_with('-'))
                .cloned()
                .collect(),
        }
    }

    /// How many rounds there are.
    #[must_use]
    pub fn rounds(&self) -> usize {
        if self.is_full { 5 } else { 1 }
    }

    /// `count` of something, or a hundredth if it is only to be tried.
    #[must_use]
    pub fn scaled(&self, count: u64) -> u64 {
        if self.is_full {
            count
        } else {
            count.div_ceil(100)
        }
    }

    /// Whether the contest with this title is to be held.
    #[must_use]
    pub fn wants(&self, title: &str) -> bool {
        self.words.is_empty() || self.words.iter().any(|word| title.contains(word.as_str()))
    }

    /// Whether `word` itself is on the command line: for what nobody wants who
    /// does not know what it costs.
    #[must_use]
    pub fn names(&self, word: &str) -> bool {
        self.words.iter().any(|named| named == word)
    }
}
