//! Any sequence of operations, compared with a plain vector.

use std::ops::Range;

use log_core::{AtomicLog, Follower, Lsn, Snapshot, Writer};
use proptest::collection::vec;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Append,
    AppendBatch(u64),
    AppendSlice(u64),
    ChangeWriter,
    Snapshot,
    CloneSnapshot(usize),
    Refresh(usize),
    DropSnapshot(usize),
    Follow,
    FollowSnapshot(usize),
    FollowFrom(u64),
    Read(usize),
    DropFollower(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => Just(Step::Append),
        4 => (0..20_u64).prop_map(Step::AppendBatch),
        4 => (0..20_u64).prop_map(Step::AppendSlice),
        1 => Just(Step::ChangeWriter),
        3 => Just(Step::Snapshot),
        1 => any::<usize>().prop_map(Step::CloneSnapshot),
        5 => any::<usize>().prop_map(Step::Refresh),
        3 => any::<usize>().prop_map(Step::DropSnapshot),
        1 => Just(Step::Follow),
        1 => any::<usize>().prop_map(Step::FollowSnapshot),
        1 => (0..200_u64).prop_map(Step::FollowFrom),
        6 => any::<usize>().prop_map(Step::Read),
        1 => any::<usize>().prop_map(Step::DropFollower),
    ]
}

/// What the log is expected to do. Every value is its own number.
struct Model {
    segment: u64,
    segments: u64,
    end: u64,
}

impl Model {
    fn new(retained: usize, segment: usize) -> Self {
        Self {
            segment: segment as u64,
            segments: retained.div_ceil(segment) as u64 + 1,
            end: 0,
        }
    }

    /// A segment is begun by the value that does not fit into the one before.
    fn window(&self) -> Range<u64> {
        let head = self.end.saturating_sub(1) / self.segment;
        let first = (head + 1).saturating_sub(self.segments);
        first * self.segment..self.end
    }
}

struct ModelSnapshot {
    /// The window at the time of the last refresh that saw a new segment.
    window: Range<u64>,
    shown: Range<u64>,
}

impl ModelSnapshot {
    fn refresh(&mut self, model: &Model) -> (u64, u64) {
        let now = model.window();
        let before = self.shown.end;
        let segment_of = |end: u64| end.saturating_sub(1) / model.segment;
        if segment_of(before) == segment_of(now.end) {
            self.window.end = now.end;
            self.shown.end = now.end;
            return (now.end - before, 0);
        }
        let head_end = (segment_of(before) + 1) * model.segment;
        let missed = if now.start <= head_end {
            self.shown = self.window.start..now.end;
            0
        } else {
            self.shown = now.clone();
            now.start - before
        };
        self.window = now;
        (self.shown.end - before - missed, missed)
    }
}

struct World {
    model: Model,
    writer: Option<Writer<u64>>,
    log: AtomicLog<u64>,
    snapshots: Vec<(Snapshot<u64>, ModelSnapshot)>,
    followers: Vec<(Follower<u64>, u64)>,
    segments_max: u64,
}

impl World {
    fn new(retained: usize, segment: usize) -> Self {
        let (writer, log) = AtomicLog::new_claimed(retained, segment);
        Self {
            model: Model::new(retained, segment),
            writer: Some(writer),
            log,
            snapshots: Vec::new(),
            followers: Vec::new(),
            segments_max: 0,
        }
    }

    fn append(&mut self, values: u64, append: impl FnOnce(&mut Writer<u64>, Range<u64>)) {
        let start = self.model.end;
        self.model.end += values;
        let writer = self.writer.as_mut().expect("there is always one");
        append(writer, start..self.model.end);
        assert_eq!(writer.end(), Lsn(self.model.end), "INV-C1: dense");
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Append => self.append(1, |writer, new| {
                assert_eq!(writer.append(new.start), Lsn(new.start));
            }),
            Step::AppendBatch(values) => self.append(values, |writer, new| {
                let lsns = Lsn(new.start)..Lsn(new.end);
                assert_eq!(writer.append_batch(new), lsns);
            }),
            Step::AppendSlice(values) => self.append(values, |writer, new| {
                let lsns = Lsn(new.start)..Lsn(new.end);
                assert_eq!(writer.append_slice(&Vec::from_iter(new)), lsns);
            }),
            Step::ChangeWriter => {
                self.writer = None;
                self.writer = self.log.try_claim_writer();
            }
            Step::Snapshot => {
                let window = self.model.window();
                let shown = window.clone();
                let expected = ModelSnapshot { window, shown };
                self.snapshots.push((self.log.snapshot(), expected));
            }
            Step::Follow => {
                let from = self.model.window().start;
                self.followers.push((self.log.follow(), from));
            }
            Step::FollowFrom(lsn) => {
                let window = self.model.window();
                let follower = self.log.follow_from(Lsn(lsn));
                let exists = (window.start..=window.end).contains(&lsn);
                assert_eq!(follower.is_some(), exists);
                self.followers
                    .extend(follower.map(|follower| (follower, lsn)));
            }
            Step::CloneSnapshot(_)
            | Step::Refresh(_)
            | Step::DropSnapshot(_)
            | Step::FollowSnapshot(_) => self.step_snapshot(step),
            Step::Read(_) | Step::DropFollower(_) => self.step_follower(step),
        }
    }

    fn step_snapshot(&mut self, step: Step) {
        let count = self.snapshots.len();
        match step {
            _ if count == 0 => {}
            Step::CloneSnapshot(which) => {
                let (snapshot, expected) = &self.snapshots[which % count];
                let expected = ModelSnapshot {
                    window: expected.window.clone(),
                    shown: expected.shown.clone(),
                };
                self.snapshots.push((snapshot.clone(), expected));
            }
            Step::Refresh(which) => {
                let (snapshot, expected) = &mut self.snapshots[which % count];
                let (gained, missed) = expected.refresh(&self.model);
                let news = snapshot.refresh();
                assert_eq!((news.gained, news.missed), (gained, missed));
                assert_eq!(news.is_continuous(), missed == 0);
            }
            Step::FollowSnapshot(which) => {
                let (snapshot, expected) = &self.snapshots[which % count];
                self.followers.push((snapshot.follow(), expected.shown.end));
            }
            Step::DropSnapshot(which) => drop(self.snapshots.swap_remove(which % count)),
            _ => unreachable!("a step of snapshots"),
        }
    }

    fn step_follower(&mut self, step: Step) {
        let count = self.followers.len();
        match step {
            _ if count == 0 => {}
            Step::Read(which) => {
                let (follower, next) = &mut self.followers[which % count];
                let window = self.model.window();
                let has_news = *next < window.end;
                assert_eq!(follower.wait(Some(std::time::Duration::ZERO)), has_news);
                match follower.next_slice() {
                    Ok(None) => assert!(!has_news),
                    Ok(Some(news)) => {
                        assert_eq!(news.first_lsn(), Lsn(*next));
                        let end = news.end_lsn().0;
                        assert!(news.values().iter().copied().eq(*next..end));
                        assert!(*next < end && end <= window.end);
                        *next = end;
                    }
                    Err(gap) => {
                        assert_eq!(gap.missed_from, Lsn(*next));
                        assert!(*next < window.start, "only what is gone is missed");
                        *next = gap.resumes_at.0;
                        assert_eq!(*next, window.start);
                    }
                }
                assert_eq!(follower.position(), Lsn(*next));
            }
            Step::DropFollower(which) => drop(self.followers.swap_remove(which % count)),
            _ => unreachable!("a step of followers"),
        }
    }

    /// All that is held looks as it should, and memory is bounded by the most
    /// that was held at a time.
    fn check(&mut self) {
        let now = self.log.snapshot();
        assert!(now.iter().copied().eq(self.model.window()));
        for (snapshot, expected) in &self.snapshots {
            let shown = expected.shown.clone();
            assert_eq!(snapshot.start(), Lsn(shown.start));
            assert_eq!(snapshot.end(), Lsn(shown.end));
            assert_eq!(snapshot.len() as u64, shown.end - shown.start);
            assert!(snapshot.iter().copied().eq(shown.clone()), "INV-C4");
            assert!(snapshot.iter().rev().copied().eq(shown.clone().rev()));
            let middle = shown.start.midpoint(shown.end);
            let tail = snapshot.iter_from(Lsn(middle)).expect("it is shown");
            assert!(tail.copied().eq(middle..shown.end));
            assert_eq!(
                snapshot.get(Lsn(middle)).copied(),
                shown.contains(&middle).then_some(middle)
            );
        }
        let windows = 1 + 2 * self.snapshots.len() as u64 + self.followers.len() as u64;
        let segments = windows * self.model.segments + 1;
        self.segments_max = self.segments_max.max(segments);
        let allocated = self.log.allocated_segments() as u64;
        assert!(allocated <= self.segments_max, "INV-C6: bounded memory");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_log_behaves_like_a_vector_that_forgets(
        retained in 1..12_usize,
        segment in 1..6_usize,
        steps in vec(step(), 0..150),
    ) {
        let mut world = World::new(retained, segment);
        for step in steps {
            world.step(step);
            world.check();
        }
    }
}
