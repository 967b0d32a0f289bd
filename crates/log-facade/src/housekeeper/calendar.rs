//! What time it is, for whoever deletes by it.
//!
//! The time of day may jump: an operator's mistake, a machine that wakes up
//! without its battery. A jump back makes records younger, and nothing is
//! lost. A jump forward would make all of them old at once. So time that the
//! uptime does not confirm is not believed at first; it is when as much uptime
//! has passed as records may be old: then what was there at the jump is old by
//! any clock.
//!
//! Nothing tells a wrong clock from a right one when a log is opened: there it
//! is believed.

use std::time::Duration;

use crate::Timestamp;
use crate::clock::nanos;

/// A jump that is shorter than this matters to nobody.
const JUMP_MIN: Duration = Duration::from_secs(60);

/// The time that retention by age goes by.
#[derive(Debug)]
pub(super) struct Calendar {
    /// How old records may be.
    age: Duration,
    /// What was believed last, and the uptime then.
    believed: Option<(Timestamp, Duration)>,
    /// The uptime at which a jump was seen that is not believed yet.
    jumped_at: Option<Duration>,
}

impl Calendar {
    pub(super) fn new(age: Duration) -> Self {
        Self {
            age,
            believed: None,
            jumped_at: None,
        }
    }

    /// What is to be believed when the clock says `now`; and whether it jumped
    /// just now.
    pub(super) fn believe(&mut self, now: Timestamp, uptime: Duration) -> (Timestamp, bool) {
        let Some((last, at)) = self.believed else {
            self.believed = Some((now, uptime));
            return (now, false);
        };
        let passed = nanos(uptime.saturating_sub(at));
        let expected = Timestamp(last.0.saturating_add(passed));
        let jump = Duration::from_nanos(now.0.saturating_sub(expected.0));
        // In proportion, so that nothing goes much too early by small ones.
        let is_jump = jump > JUMP_MIN.min(self.age / 10);
        let is_new = is_jump && self.jumped_at.is_none();
        if !is_jump {
            self.jumped_at = None;
        } else {
            self.jumped_at.get_or_insert(uptime);
        }
        let is_doubted = self
            .jumped_at
            .is_some_and(|jumped| uptime.saturating_sub(jumped) < self.age);
        let believed = match is_doubted {
            true => expected,
            false => {
                self.jumped_at = None;
                now
            }
        };
        self.believed = Some((believed, uptime));
        (believed, is_new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const DAY: u64 = 86_400;

    fn at(calendar: &mut Calendar, uptime_s: u64, now_s: u64) -> u64 {
        let (believed, _) =
            calendar.believe(Timestamp(now_s * SECOND), Duration::from_secs(uptime_s));
        believed.0 / SECOND
    }

    #[test]
    fn time_that_passes_is_believed() {
        let mut calendar = Calendar::new(Duration::from_secs(DAY));
        assert_eq!(at(&mut calendar, 0, 1000), 1000);
        assert_eq!(at(&mut calendar, 30, 1030), 1030);
        assert_eq!(at(&mut calendar, 60, 1061), 1061, "a little more");
        assert_eq!(at(&mut calendar, 90, 500), 500, "and back");
        assert_eq!(at(&mut calendar, 120, 530), 530);
    }

    #[test]
    fn a_jump_forward_is_believed_when_it_no_longer_matters() {
        let mut calendar = Calendar::new(Duration::from_secs(DAY));
        at(&mut calendar, 0, 1000);
        let year = 365 * DAY;
        assert_eq!(at(&mut calendar, 10, year), 1010);
        assert_eq!(at(&mut calendar, DAY, year + DAY), 1000 + DAY);
        assert_eq!(at(&mut calendar, DAY + 9, year + DAY), 1009 + DAY);
        assert_eq!(
            at(&mut calendar, DAY + 10, year + DAY),
            year + DAY,
            "a day later"
        );
        assert_eq!(
            at(&mut calendar, DAY + 20, year + DAY + 10),
            year + DAY + 10
        );
    }

    #[test]
    fn a_jump_that_is_taken_back_leaves_nothing_behind() {
        let mut calendar = Calendar::new(Duration::from_secs(DAY));
        at(&mut calendar, 0, 1000);
        assert_eq!(at(&mut calendar, 10, 400 * DAY), 1010);
        assert_eq!(at(&mut calendar, 20, 1020), 1020);
        assert_eq!(
            at(&mut calendar, 2 * DAY, 400 * DAY),
            1000 + 2 * DAY,
            "doubted anew"
        );
    }
}
