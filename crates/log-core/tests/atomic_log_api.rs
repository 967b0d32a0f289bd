//! What an `AtomicLog` shows, to one thread.

use log_core::{AppendErrorCause, AtomicLog, Gap, Lsn, Refresh, Snapshot, Writer};

/// What a log holds, by way of a new snapshot.
fn held<T: Clone>(log: &AtomicLog<T>) -> Vec<T> {
    shown(&log.snapshot())
}

fn shown<T: Clone>(snapshot: &Snapshot<T>) -> Vec<T> {
    snapshot.iter().cloned().collect()
}

/// Under an interpreter, fewer.
const ROUNDS: usize = if cfg!(miri) { 30 } else { 1000 };

fn numbers(range: std::ops::Range<u32>) -> Vec<u32> {
    range.collect()
}

// A1

#[test]
#[should_panic(expected = "retained_capacity is zero")]
fn a_retained_capacity_of_zero_is_refused_by_name() {
    let _ = AtomicLog::<u8>::new(0, 1);
}

#[test]
#[should_panic(expected = "segment_capacity is zero")]
fn a_segment_capacity_of_zero_is_refused_by_name() {
    let _ = AtomicLog::<u8>::new_claimed(1, 0);
}

#[test]
#[should_panic(expected = "exceeds the address space")]
fn a_segment_larger_than_the_address_space_is_refused_by_name() {
    let _ = AtomicLog::<u64>::new(1, usize::MAX);
}

#[test]
fn retaining_everything_may_be_asked_for() {
    let (mut writer, log) = AtomicLog::new_claimed(usize::MAX, 2);
    writer.append_batch(0..100);
    assert_eq!(held(&log), numbers(0..100));
}

#[test]
fn a_new_log_is_empty_and_has_no_writer() {
    let log = AtomicLog::<u8>::new(10, 4);
    let snapshot = log.snapshot();
    assert!(!log.is_writer_claimed());
    assert!(snapshot.is_empty());
    assert_eq!(snapshot.len(), 0);
    assert_eq!((snapshot.start(), snapshot.end()), (Lsn(0), Lsn(0)));
    assert!(snapshot.iter().next().is_none());
    assert!(snapshot.chunks().next().is_none());
    assert!(snapshot.chunks().next_back().is_none());
}

// A2

#[test]
fn there_is_one_writer_at_a_time() {
    let (writer, log) = AtomicLog::<u8>::new_claimed(10, 4);
    assert!(log.is_writer_claimed());
    assert!(log.try_claim_writer().is_none(), "INV-C3: one writer");
    drop(writer);
    assert!(!log.is_writer_claimed());
    assert!(log.try_claim_writer().is_some());
}

#[test]
fn a_new_writer_goes_on_where_the_old_one_stopped() {
    let log = AtomicLog::new(6, 2);
    for value in 0..20 {
        let mut writer = log.try_claim_writer().expect("the last one is gone");
        assert_eq!(writer.end(), Lsn(value));
        assert_eq!(writer.append(value), Lsn(value), "INV-C1: dense");
    }
    assert_eq!(held(&log), [12, 13, 14, 15, 16, 17, 18, 19]);
    assert_eq!(log.allocated_segments(), 5, "the books were handed on");
}

// A3

#[test]
fn an_empty_batch_on_a_full_head_changes_nothing() {
    let (mut writer, log) = AtomicLog::new_claimed(4, 2);
    writer.append_batch(0..2);
    assert_eq!(writer.append_batch([]), Lsn(2)..Lsn(2));
    assert_eq!(writer.append_slice(&[]), Lsn(2)..Lsn(2));
    assert_eq!(log.allocated_segments(), 1);
}

#[test]
fn a_batch_that_fills_the_head_exactly_does_not_roll() {
    let (mut writer, log) = AtomicLog::new_claimed(4, 4);
    writer.append(0);
    assert_eq!(writer.append_batch(1..4), Lsn(1)..Lsn(4));
    assert_eq!(log.allocated_segments(), 1);
    assert_eq!(writer.append_slice(&[4, 5, 6, 7]), Lsn(4)..Lsn(8));
    assert_eq!(log.allocated_segments(), 2);
    assert_eq!(held(&log), numbers(0..8));
}

#[test]
fn a_batch_rolls_as_often_as_it_needs() {
    let (mut writer, log) = AtomicLog::new_claimed(100, 3);
    assert_eq!(writer.append_batch(0..20), Lsn(0)..Lsn(20));
    assert_eq!(writer.append_slice(&numbers(20..41)), Lsn(20)..Lsn(41));
    assert_eq!(held(&log), numbers(0..41));
}

// A4

#[test]
fn a_log_leads_to_snapshots_and_back() {
    let (mut writer, log) = AtomicLog::new_claimed(4, 2);
    writer.append(7);
    let snapshot = Snapshot::from(&log);
    let again = AtomicLog::from(&snapshot);
    drop(log);
    writer.append(8);
    assert_eq!(held(&again), [7, 8]);
    assert_eq!(held(snapshot.log()), [7, 8]);
    assert_eq!(held(writer.log()), [7, 8]);
    assert_eq!(held(&AtomicLog::from(&writer)), [7, 8]);
}

#[test]
fn a_log_can_be_had_again_from_its_last_snapshot() {
    let (mut writer, log) = AtomicLog::new_claimed(4, 2);
    writer.append_batch(0..9);
    let snapshot = log.snapshot();
    drop((writer, log));
    let log = snapshot.log().clone();
    drop(snapshot);
    let mut writer = log.try_claim_writer().expect("nobody else is there");
    writer.append(9);
    assert_eq!(held(&log), numbers(4..10));
}

// A5

#[test]
fn a_refresh_shows_what_is_new_in_the_same_head() {
    let (mut writer, log) = AtomicLog::new_claimed(4, 4);
    let mut snapshot = log.snapshot();
    assert_eq!(snapshot.refresh(), Refresh::default());
    writer.append_batch(0..3);
    assert_eq!(shown(&snapshot), [], "INV-C4: it stays as it was");
    let news = snapshot.refresh();
    assert_eq!((news.gained, news.missed), (3, 0));
    assert!(news.is_continuous());
    assert_eq!(shown(&snapshot), [0, 1, 2]);
}

#[test]
fn a_refresh_keeps_what_was_captured_before_and_nothing_older() {
    let (mut writer, log) = AtomicLog::new_claimed(4, 2);
    writer.append_batch(0..4);
    let mut snapshot = log.snapshot();
    writer.append_batch(4..9);
    assert_eq!(snapshot.refresh().gained, 5);
    assert_eq!(shown(&snapshot), numbers(0..9));
    writer.append(9);
    assert_eq!(snapshot.refresh().gained, 1);
    assert_eq!(shown(&snapshot), numbers(0..10), "the same head");
    writer.append(10);
    assert_eq!(snapshot.refresh().gained, 1);
    assert_eq!(shown(&snapshot), numbers(4..11));
}

#[test]
fn a_refresh_counts_what_the_old_head_had_left() {
    let (mut writer, log) = AtomicLog::new_claimed(4, 4);
    writer.append(0);
    let mut snapshot = log.snapshot();
    writer.append_batch(1..6);
    assert_eq!(snapshot.refresh().gained, 5);
    assert_eq!(shown(&snapshot), numbers(0..6));
}

#[test]
fn a_refresh_that_came_too_late_says_how_many_values_were_missed() {
    let (mut writer, log) = AtomicLog::new_claimed(4, 2);
    writer.append_batch(0..3);
    let mut snapshot = log.snapshot();
    writer.append_batch(3..11);
    let news = snapshot.refresh();
    assert_eq!((news.gained, news.missed), (5, 3), "3, 4 and 5 are gone");
    assert!(!news.is_continuous());
    assert_eq!(shown(&snapshot), numbers(6..11));
    assert_eq!(snapshot.start(), Lsn(6));
}

#[test]
fn a_snapshot_that_is_refreshed_for_ever_shows_two_windows_at_most() {
    for (retained, segment, step) in [(4, 2, 1), (4, 2, 3), (1, 1, 1), (9, 4, 5), (3, 1, 4)] {
        let (mut writer, log) = AtomicLog::new_claimed(retained, segment);
        let mut snapshot = log.snapshot();
        let window = log.retained_segments() as usize * segment;
        let mut end = 0;
        for _ in 0..ROUNDS {
            writer.append_batch(end..end + step);
            end += step;
            let news = snapshot.refresh();
            assert_eq!(news.missed, 0);
            assert_eq!(news.gained, step as u64);
            assert!(
                snapshot.len() <= 2 * window,
                "{} of {window}",
                snapshot.len()
            );
            assert!(snapshot.len() >= retained.min(end));
            assert!(snapshot.iter().copied().eq(end - snapshot.len()..end));
        }
        // Two windows of the snapshot, the log's own, and the next segment.
        let segments_max = 3 * log.retained_segments() as usize + 1;
        assert!(log.allocated_segments() <= segments_max);
    }
}

// A6

#[test]
fn iterators_know_their_length_from_both_ends() {
    let (mut writer, log) = AtomicLog::new_claimed(100, 3);
    writer.append_batch(0..11);
    let snapshot = log.snapshot();
    let mut values = snapshot.iter();
    let (mut front, mut back) = (0..11, (0..11).rev());
    for left in (0..11).rev() {
        let (got, expected) = if left % 3 == 0 {
            (values.next_back(), back.next())
        } else {
            (values.next(), front.next())
        };
        assert_eq!(got.copied(), expected);
        assert_eq!(values.len(), left);
        assert_eq!(values.size_hint(), (left, Some(left)));
    }
    assert!(values.next().is_none());
    assert!(values.next_back().is_none());
    assert_eq!((&snapshot).into_iter().rev().count(), 11);
    assert!(snapshot.iter().rev().copied().eq((0..11).rev()));
}

#[test]
fn nth_steps_over_whole_segments() {
    let (mut writer, log) = AtomicLog::new_claimed(100, 3);
    writer.append_batch(0..11);
    let snapshot = log.snapshot();
    for start in 0..3 {
        for n in 0..12 {
            let mut ours = snapshot.iter();
            let mut model = 0..11;
            assert_eq!(ours.nth(start).copied(), model.nth(start));
            assert_eq!(ours.nth(n).copied(), model.nth(n));
            assert!(ours.copied().eq(model));
        }
    }
    let mut both_ends = snapshot.iter();
    both_ends.next_back();
    assert_eq!(both_ends.nth(9), Some(&9));
    assert_eq!(both_ends.next(), None);
}

#[test]
fn chunks_say_where_they_belong() {
    let (mut writer, log) = AtomicLog::new_claimed(4, 2);
    writer.append_batch(0..9);
    let snapshot = log.snapshot();
    let all: Vec<_> = snapshot
        .chunks()
        .map(|slice| {
            (
                slice.sequence(),
                slice.first_lsn().0,
                slice.values().to_vec(),
            )
        })
        .collect();
    assert_eq!(
        all,
        [(2, 4, vec![4, 5]), (3, 6, vec![6, 7]), (4, 8, vec![8])]
    );
    let mut chunks = snapshot.chunks();
    assert_eq!(chunks.len(), 3);
    assert_eq!(chunks.next_back().unwrap().values(), [8]);
    assert_eq!(chunks.next().unwrap().end_lsn(), Lsn(6));
    assert_eq!(chunks.next_back().unwrap().values(), [6, 7]);
    assert_eq!(chunks.len(), 0);
    assert!(chunks.next().is_none());
}

#[test]
fn values_of_no_size_are_counted_all_the_same() {
    let (mut writer, log) = AtomicLog::new_claimed(10, 4);
    writer.append_batch(std::iter::repeat_n((), 30));
    assert_eq!(writer.append_slice(&[(); 3]), Lsn(30)..Lsn(33));
    let snapshot = log.snapshot();
    assert_eq!(snapshot.len(), 13);
    assert_eq!(snapshot.iter().count(), 13);
    assert_eq!(snapshot.iter().rev().map(|()| 1).sum::<usize>(), 13);
}

#[test]
fn values_may_ask_for_more_alignment_than_anything_else() {
    #[repr(align(256))]
    struct Aligned(u8);
    let (mut writer, log) = AtomicLog::new_claimed(4, 3);
    writer.append_batch((0..10).map(Aligned));
    for value in &log.snapshot() {
        assert_eq!(std::ptr::from_ref(value) as usize % 256, 0);
    }
    assert!(log.snapshot().iter().map(|value| value.0).eq(3..10));
}

// A7

#[test]
fn retention_is_by_whole_segments() {
    for (retained, segment, first) in [(3, 1, 16), (4, 2, 14), (5, 3, 12), (100, 7, 0), (1, 20, 0)]
    {
        let (mut writer, log) = AtomicLog::new_claimed(retained, segment);
        writer.append_batch(0..20);
        let segments = retained.div_ceil(segment) + 1;
        assert_eq!(log.retained_segments(), segments as u64);
        assert_eq!(held(&log), numbers(first..20), "({retained}, {segment})");
        assert_eq!(log.snapshot().start(), Lsn(first.into()));
    }
}

// Beyond

#[test]
fn any_value_that_is_shown_can_be_had_by_its_number() {
    for base in [0, 1000] {
        let log = AtomicLog::starting_at(Lsn(base), 200, 3);
        let mut writer = log.try_claim_writer().unwrap();
        let mut snapshot = log.snapshot();
        for value in base..base + ROUNDS as u64 {
            assert_eq!(writer.append(value), Lsn(value));
            if value % 150 == 0 {
                snapshot.refresh();
            }
        }
        for snapshot in [&snapshot, &log.snapshot()] {
            let shown = snapshot.start().0..snapshot.end().0;
            for lsn in base.saturating_sub(3)..base + ROUNDS as u64 + 3 {
                let expected = shown.contains(&lsn).then_some(lsn);
                assert_eq!(snapshot.get(Lsn(lsn)).copied(), expected);
            }
        }
    }
}

#[test]
fn iteration_can_begin_anywhere_and_never_skips_silently() {
    let (mut writer, log) = AtomicLog::new_claimed(6, 2);
    writer.append_batch(0..15);
    let snapshot = log.snapshot();
    for from in 8..18 {
        let values = snapshot.iter_from(Lsn(from)).expect("shown, or the end");
        assert_eq!(values.len() as u64, 15_u64.saturating_sub(from));
        assert!(values.copied().eq(from..15));
        let chunks = snapshot.chunks_from(Lsn(from)).expect("as above");
        assert!(
            chunks
                .rev()
                .flat_map(|slice| slice.values().iter().rev())
                .copied()
                .eq((from..15).rev())
        );
    }
    for before in 0..8 {
        let gap = snapshot
            .iter_from(Lsn(before))
            .expect_err("not shown any more");
        assert_eq!(
            gap,
            Gap {
                missed_from: Lsn(before),
                resumes_at: Lsn(8)
            }
        );
        assert_eq!(gap.missed(), 8 - before);
    }
}

#[test]
fn a_clone_of_a_snapshot_outlives_it() {
    let (mut writer, log) = AtomicLog::new_claimed(4, 2);
    writer.append_batch(0..4);
    let mut snapshot = log.snapshot();
    writer.append_batch(4..9);
    snapshot.refresh();
    let clone = snapshot.clone();
    drop(snapshot);
    writer.append_batch(9..1000);
    assert_eq!(shown(&clone), numbers(0..9), "INV-C4: what is held stays");
    drop(clone);
    assert_eq!(held(&log), numbers(994..1000));
}

#[test]
fn a_follower_hands_out_every_value_once() {
    let (mut writer, log) = AtomicLog::new_claimed(6, 3);
    let mut follower = log.follow();
    let mut read = Vec::new();
    for value in 0..100 {
        writer.append(value);
        if value % 5 == 0 {
            while let Some(news) = follower.next_slice().expect("it keeps up") {
                assert_eq!(news.first_lsn(), Lsn(read.len() as u64));
                read.extend_from_slice(news.values());
            }
            assert_eq!(follower.position(), writer.end());
        }
    }
    assert_eq!(read, numbers(0..96));
}

#[test]
fn a_follower_that_fell_behind_says_so_once_and_goes_on() {
    let (mut writer, log) = AtomicLog::new_claimed(4, 2);
    let mut follower = log.follow();
    writer.append_batch(0..3);
    assert_eq!(follower.next_slice().unwrap().unwrap().values(), [0, 1]);
    writer.append_batch(3..11);
    let gap = follower.next_slice().expect_err("2 to 5 are gone");
    assert_eq!((gap.missed_from, gap.resumes_at), (Lsn(2), Lsn(6)));
    let mut rest = Vec::new();
    while let Some(news) = follower.next_slice().expect("no second time") {
        rest.extend_from_slice(news.values());
    }
    assert_eq!(rest, numbers(6..11));
}

#[test]
fn a_follower_can_begin_wherever_there_are_values() {
    let (mut writer, log) = AtomicLog::new_claimed(4, 2);
    writer.append_batch(0..10);
    for from in 0..13 {
        let follower = log.follow_from(Lsn(from));
        assert_eq!(follower.is_some(), (4..=10).contains(&from), "from {from}");
        let Some(mut follower) = follower else {
            continue;
        };
        let mut read = Vec::new();
        while let Some(news) = follower.next_slice().expect("it is in time") {
            read.extend_from_slice(news.values());
        }
        assert!(read.into_iter().eq(from..10));
    }
}

#[test]
fn history_and_what_follows_meet_without_gap_or_duplicate() {
    let (mut writer, log) = AtomicLog::new_claimed(6, 2);
    for end in 1..10 {
        writer.append_batch(writer.end().0..end * 3);
        let snapshot = log.snapshot();
        let mut follower = snapshot.follow();
        let mut again = follower.clone();
        writer.append(end * 3);
        let mut read = shown(&snapshot);
        read.extend_from_slice(follower.next_slice().unwrap().unwrap().values());
        assert!(read.into_iter().eq(snapshot.start().0..=end * 3));
        assert_eq!(again.next_slice().unwrap().unwrap().values(), [end * 3]);
    }
}

#[test]
fn numbers_run_out_with_an_error_and_never_wrap() {
    for (left, segment) in [(0, 1), (1, 1), (5, 2), (6, 2), (3, 10)] {
        let base = Lsn(u64::MAX - left);
        let log = AtomicLog::starting_at(base, 100, segment);
        let mut writer: Writer<u64> = log.try_claim_writer().unwrap();
        for value in 0..left {
            assert_eq!(writer.append(value), Lsn(base.0 + value));
        }
        let error = writer.try_append(99).expect_err("no number is left");
        assert_eq!(error.cause, AppendErrorCause::OutOfNumbers);
        assert_eq!(error.value, 99, "it comes back");
        assert_eq!(writer.end(), Lsn(u64::MAX));
        assert_eq!(log.snapshot().end(), Lsn(u64::MAX));
        assert!(log.snapshot().iter().copied().eq(0..left), "log usable");
    }
}

#[test]
fn a_batch_beyond_the_last_number_appends_what_has_one() {
    let log = AtomicLog::starting_at(Lsn(u64::MAX - 5), 100, 2);
    let mut writer = log.try_claim_writer().unwrap();
    for _ in 0..2 {
        let batch = std::panic::AssertUnwindSafe(|| writer.append_batch(0..8));
        assert!(std::panic::catch_unwind(batch).is_err());
        assert_eq!(held(&log), [0, 1, 2, 3, 4]);
    }
}

#[test]
fn debug_output_says_where_things_stand() {
    let (mut writer, log) = AtomicLog::new_claimed(4, 2);
    writer.append_batch(0..9);
    let snapshot = log.snapshot();
    assert_eq!(
        format!("{snapshot:?}"),
        "Snapshot { start: Lsn(4), end: Lsn(9), .. }"
    );
    assert_eq!(format!("{writer:?}"), "Writer { end: Lsn(9), .. }");
    assert_eq!(
        format!("{:?}", log.follow()),
        "Follower { position: Lsn(4), .. }"
    );
    assert!(format!("{log:?}").contains("segment_capacity: 2, retained_segments: 3"));
}
