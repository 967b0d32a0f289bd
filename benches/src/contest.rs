//! Turns in interleaved rounds, and the table that comes of them.
//!
//! Every contestant has one turn in every round; every other round goes
//! backwards, so that nobody always follows the same neighbour. A ratio is the
//! median of the ratios within each round: what slows the machine down for a
//! while slows both sides of it.

use std::fmt;

use crate::effort::Effort;

/// Which way the first column is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// A time, a size.
    Lower,
    /// A rate.
    Higher,
}

/// What is compared.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Its name, with the unit.
    pub name: &'static str,
    /// How many digits behind the point are shown.
    pub digits: usize,
}

/// What a turn measured: one number per column, NaN where there is none.
pub type Turn = Vec<f64>;

type TakeTurn<'a> = Box<dyn FnMut() -> Turn + 'a>;

struct Contestant<'a> {
    name: String,
    take_turn: TakeTurn<'a>,
    turns: Vec<Turn>,
}

/// Contestants that take turns. The first one is what the others are compared
/// with.
pub struct Contest<'a> {
    title: String,
    columns: &'static [Column],
    better: Better,
    contestants: Vec<Contestant<'a>>,
}

impl fmt::Debug for Contest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.contestants.iter().map(|contestant| &contestant.name);
        f.debug_struct("Contest")
            .field("title", &self.title)
            .field("contestants", &names.collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

impl<'a> Contest<'a> {
    /// A contest that nobody takes part in yet, decided by the first column.
    #[must_use]
    pub fn new(title: impl Into<String>, better: Better, columns: &'static [Column]) -> Self {
        Self {
            title: title.into(),
            columns,
            better,
            contestants: Vec::new(),
        }
    }

    /// Adds a contestant.
    pub fn add(&mut self, name: impl Into<String>, take_turn: impl FnMut() -> Turn + 'a) {
        self.contestants.push(Contestant {
            name: name.into(),
            take_turn: Box::new(take_turn),
            turns: Vec::new(),
        });
    }

    /// Has everybody take turns, if the contest is wanted, and prints the table.
    pub fn hold(mut self, effort: &Effort) {
        if !effort.wants(&self.title) {
            return;
        }
        for round in 0..effort.rounds() {
            let mut order: Vec<_> = self.contestants.iter_mut().collect();
            if round % 2 == 1 {
                order.reverse();
            }
            for contestant in order {
                let turn = (contestant.take_turn)();
                assert_eq!(turn.len(), self.columns.len(), "a number per column");
                contestant.turns.push(turn);
            }
        }
        println!("{self}");
    }

    /// How many times as fast the first contestant is as this one.
    fn ratio(&self, contestant: &Contestant<'_>) -> f64 {
        let first = self.contestants.first().into_iter();
        let pairs = first.flat_map(|first| first.turns.iter().zip(&contestant.turns));
        median(pairs.map(|(ours, theirs)| match self.better {
            Better::Lower => theirs[0] / ours[0],
            Better::Higher => ours[0] / theirs[0],
        }))
    }
}

/// As a Markdown table.
impl fmt::Display for Contest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "### {}\n", self.title)?;
        write!(f, "| |")?;
        for column in self.columns {
            write!(f, " {} |", column.name)?;
        }
        writeln!(f, " the first is better by |")?;
        writeln!(f, "|---|{}---:|", "---:|".repeat(self.columns.len()))?;
        for contestant in &self.contestants {
            write!(f, "| {} |", contestant.name)?;
            for (index, column) in self.columns.iter().enumerate() {
                let values = || contestant.turns.iter().map(|turn| turn[index]);
                write!(f, " {}", Number(median(values()), column.digits))?;
                if index == 0 {
                    let least = Number(values().fold(f64::INFINITY, f64::min), column.digits);
                    let most = Number(values().fold(0.0, f64::max), column.digits);
                    write!(f, " [{least}-{most}]")?;
                }
                write!(f, " |")?;
            }
            let ratio = self.ratio(contestant);
            let digits = if ratio < 0.1 { 4 } else { 2 };
            writeln!(f, " {} x |", Number(ratio, digits))?;
        }
        Ok(())
    }
}

struct Number(f64, usize);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_nan() {
            return f.write_str("-");
        }
        write!(f, "{:.*}", self.1, self.0)
    }
}

/// The value in the middle; NaN if there is none.
fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: &[Column] = &[Column {
        name: "ns",
        digits: 1,
    }];

    fn contest(better: Better) -> String {
        let mut contest = Contest::new("title", better, COLUMNS);
        contest.add("ours", || vec![2.0]);
        contest.add("theirs", || vec![5.0]);
        for contestant in &mut contest.contestants {
            contestant.turns.push((contestant.take_turn)());
        }
        contest.to_string()
    }

    #[test]
    fn a_ratio_says_how_much_faster_the_first_is() {
        let by_time = contest(Better::Lower);
        assert!(
            by_time.contains("| theirs | 5.0 [5.0-5.0] | 2.50 x |"),
            "{by_time}"
        );
        let by_rate = contest(Better::Higher);
        assert!(
            by_rate.contains("| theirs | 5.0 [5.0-5.0] | 0.40 x |"),
            "{by_rate}"
        );
    }

    #[test]
    fn the_median_is_the_value_in_the_middle() {
        assert_eq!(median([9.0, 1.0, 5.0].into_iter()), 5.0);
        assert!(median(std::iter::empty()).is_nan());
    }
}
