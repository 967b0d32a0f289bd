//! How far time had come at places of a log: the greatest timestamp of all
//! records in front of each.
//!
//! Timestamps need not ascend, and the greatest one so far does. The first
//! record at or after a moment is also the first at which the greatest so far
//! reaches it: so steps lead there, in whatever order the timestamps are.

use crate::envelope::Timestamp;

/// Places in order, and the greatest timestamp in front of each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Steps<P> {
    steps: Vec<(Timestamp, P)>,
}

impl<P> Default for Steps<P> {
    fn default() -> Self {
        Self { steps: Vec::new() }
    }
}

impl<P: Copy> Steps<P> {
    pub(super) fn from_vec(steps: Vec<(Timestamp, P)>) -> Self {
        Self { steps }
    }

    /// Notes that `greatest` is the greatest timestamp in front of `place`,
    /// which lies behind all others.
    pub(crate) fn note(&mut self, greatest: Timestamp, place: P) {
        match self.steps.last_mut() {
            // The same moment, and further along.
            Some((last, at)) if *last == greatest => *at = place,
            _ => self.steps.push((greatest, place)),
        }
    }

    /// The last place that is known to have no record at or after `moment` in
    /// front of it; `None` if that is the beginning.
    pub(crate) fn before(&self, moment: Timestamp) -> Option<P> {
        let later = self
            .steps
            .partition_point(|(greatest, _)| *greatest < moment);
        let (_, place) = self.steps.get(later.checked_sub(1)?)?;
        Some(*place)
    }

    /// The greatest timestamp of all.
    pub(crate) fn greatest(&self) -> Option<Timestamp> {
        self.steps.last().map(|(greatest, _)| *greatest)
    }

    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = &(Timestamp, P)> {
        self.steps.iter()
    }

    pub(crate) fn len(&self) -> usize {
        self.steps.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_leads_to_the_last_place_that_it_has_not_come_before() {
        let mut steps = Steps::default();
        assert_eq!(steps.before(Timestamp(0)), None);
        assert_eq!(steps.greatest(), None);
        for (greatest, place) in [(5, 10), (5, 20), (9, 30), (9, 40), (12, 50)] {
            steps.note(Timestamp(greatest), place);
        }
        assert_eq!(steps.len(), 3, "the same moment has one");
        let expected = [
            (0, None),
            (5, None),
            (6, Some(20)),
            (9, Some(20)),
            (10, Some(40)),
            (12, Some(40)),
            (13, Some(50)),
            (u64::MAX, Some(50)),
        ];
        for (moment, place) in expected {
            assert_eq!(steps.before(Timestamp(moment)), place, "{moment}");
        }
        assert_eq!(steps.greatest(), Some(Timestamp(12)));
    }
}
