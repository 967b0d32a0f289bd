//! What becomes of the end of a log, and of those who have seen it.
//!
//! An engine that cannot discard records from its end refuses, always, and
//! changes nothing.

use super::{Subject, fill, numbers, open, payload};
use crate::{CursorError, Log, Lsn, NextError, StartAt, TruncateError};

/// A log with five segments of 20 records; `None` if it cannot be cut.
fn open_to_cut(subject: &dyn Subject) -> Option<Log> {
    let mut log = open(subject);
    for segment in 1..=5 {
        fill(&log, segment * 20);
        if segment < 5 {
            assert!(log.rotate().expect("rotated"));
        }
    }
    match log.truncate_after(Lsn(99)) {
        Err(TruncateError::NotSupported) => {
            assert_eq!(numbers(&log), (0..100).collect::<Vec<_>>());
            None
        }
        cut => {
            cut.expect("cut");
            assert_eq!(log.next_lsn(), Lsn(99));
            fill(&log, 100);
            Some(log)
        }
    }
}

/// In the active segment, in a sealed one, between two, and all of it.
pub fn numbers_go_on_where_the_log_was_cut(subject: &dyn Subject) {
    let Some(mut log) = open_to_cut(subject) else {
        return;
    };
    for (end, then) in [
        (95, 97),
        (97, 97),
        (80, 85),
        (61, 70),
        (60, 60),
        (1, 50),
        (0, 30),
    ] {
        log.truncate_after(Lsn(end)).expect("cut");
        assert_eq!(log.next_lsn(), Lsn(end));
        assert_eq!(numbers(&log), (0..end).collect::<Vec<_>>(), "{end}");
        assert_eq!(log.read(Lsn(end)).expect("readable"), None);
        fill(&log, then);
        assert_eq!(numbers(&log), (0..then).collect::<Vec<_>>(), "{end}");
    }
    let watermarks = log.watermarks();
    assert!(watermarks.durable_end <= watermarks.written_end);
    assert!(watermarks.written_end <= watermarks.published_end);
}

/// Records behind a cut are not those of before.
pub fn what_was_cut_is_not_read_again(subject: &dyn Subject) {
    let Some(mut log) = open_to_cut(subject) else {
        return;
    };
    log.truncate_after(Lsn(30)).expect("cut");
    for number in 30..60 {
        assert_eq!(log.append(b"another").expect("appended"), Lsn(number));
    }
    log.rotate().expect("rotated");
    let others = log.range(Lsn(30)..Lsn(100));
    let others: Vec<_> = others.map(|it| it.expect("readable")).collect();
    assert_eq!(others.len(), 30);
    assert!(others.iter().all(|record| record.payload() == b"another"));
    assert_eq!(numbers(log.range(Lsn(0)..Lsn(30))).len(), 30);
}

/// It is not rounded to one that would.
pub fn an_end_that_the_log_does_not_have_is_refused(subject: &dyn Subject) {
    let Some(mut log) = open_to_cut(subject) else {
        return;
    };
    log.drop_before(Lsn(45)).expect("dropped");
    for end in [0, 39, 101, u64::MAX] {
        let refused = log.truncate_after(Lsn(end));
        let is_told = matches!(
            refused,
            Err(TruncateError::OutOfRange {
                end: Lsn(asked),
                first: Lsn(40),
                next: Lsn(100),
            }) if asked == end
        );
        assert!(is_told, "{end}: {refused:?}");
        assert_eq!(numbers(&log), (40..100).collect::<Vec<_>>());
    }
    log.truncate_after(Lsn(40)).expect("cut");
    assert_eq!((log.first_lsn(), log.next_lsn()), (Lsn(40), Lsn(40)));
    fill(&log, 45);
    assert_eq!(numbers(&log), (40..45).collect::<Vec<_>>());
}

/// `INV-W8`
pub fn what_was_cut_stays_gone(subject: &dyn Subject) {
    if !subject.survives_closing() {
        return;
    }
    let Some(mut log) = open_to_cut(subject) else {
        return;
    };
    for end in [70, 33] {
        log.truncate_after(Lsn(end)).expect("cut");
        log.close().expect("closed");
        log = open(subject);
        assert_eq!(log.next_lsn(), Lsn(end), "INV-W8");
        assert_eq!(numbers(&log), (0..end).collect::<Vec<_>>(), "INV-W8");
        fill(&log, end + 5);
    }
}

/// `INV-M5`: whatever is appended under its number.
pub fn a_held_record_outlives_a_cut(subject: &dyn Subject) {
    let Some(mut log) = open_to_cut(subject) else {
        return;
    };
    let held: Vec<_> = log.iter().map(|record| record.expect("readable")).collect();
    log.truncate_after(Lsn(10)).expect("cut");
    for _ in 0..200 {
        log.append(b"another").expect("appended");
    }
    log.close().expect("closed");
    for record in held {
        assert_eq!(record.payload(), payload(record.lsn().0), "INV-M5");
    }
}

/// It has promised to stay as it is.
pub fn a_snapshot_forbids_a_cut(subject: &dyn Subject) {
    let Some(mut log) = open_to_cut(subject) else {
        return;
    };
    let snapshot = log.snapshot();
    let refused = log.truncate_after(Lsn(50));
    assert!(matches!(refused, Err(TruncateError::InUse)), "{refused:?}");
    assert_eq!(numbers(&snapshot), (0..100).collect::<Vec<_>>());
    fill(&log, 110);
    drop(snapshot);
    log.truncate_after(Lsn(50)).expect("cut");
    assert_eq!(log.next_lsn(), Lsn(50));
}

/// `INV-F3`: once, also of records that were taken ahead, and of several cuts.
pub fn a_subscription_is_told_what_of_it_was_cut(subject: &dyn Subject) {
    let Some(mut log) = open_to_cut(subject) else {
        return;
    };
    let mut subscription = log.subscribe(StartAt::Beginning).expect("subscribed");
    let mut behind = log.subscribe(StartAt::Beginning).expect("subscribed");
    let mut waiting = log.subscribe(StartAt::Lsn(Lsn(103))).expect("subscribed");
    let mut live = log.subscribe(StartAt::End).expect("subscribed");
    assert_eq!(numbers(subscription.by_ref().take(40)).len(), 40);
    assert_eq!(numbers(behind.by_ref().take(20)).len(), 20);
    log.truncate_after(Lsn(35)).expect("cut");
    fill(&log, 50);
    log.truncate_after(Lsn(30)).expect("cut");
    fill(&log, 33);
    log.truncate_after(Lsn(32)).expect("cut");
    fill(&log, 104);

    assert!(subscription.next().is_none(), "until it was said");
    assert_discarded(subscription.try_next(), 30, 40);
    assert_eq!(
        numbers(subscription.by_ref().take(74)),
        (30..104).collect::<Vec<_>>()
    );
    assert_eq!(
        numbers(behind.by_ref().take(84)),
        (20..104).collect::<Vec<_>>()
    );
    assert_eq!(numbers(waiting.by_ref().take(1)), [103]);
    assert_discarded(live.try_next(), 30, 100);
    assert_eq!(numbers(live.by_ref().take(1)), [30]);
    for subscription in [&mut subscription, &mut behind, &mut waiting] {
        assert!(subscription.try_next().expect("readable").is_none());
    }
}

fn assert_discarded<T: std::fmt::Debug>(told: Result<T, NextError>, first: u64, next: u64) {
    let is_told = matches!(
        told,
        Err(NextError::Discarded { first: f, next: n }) if (f.0, n.0) == (first, next)
    );
    assert!(is_told, "INV-F3: {first} to {next} are gone: {told:?}");
}

/// Whoever waits is woken by what comes behind the cut.
pub fn a_subscription_that_waits_goes_on_behind_a_cut(subject: &dyn Subject) {
    let Some(mut log) = open_to_cut(subject) else {
        return;
    };
    let mut subscription = log.subscribe(StartAt::End).expect("subscribed");
    let end = log.next_lsn();
    std::thread::scope(|scope| {
        let waits = scope.spawn(move || {
            // Whether it waits already or not makes no difference.
            let told = subscription.next_timeout(std::time::Duration::from_secs(60));
            let next = subscription.next_timeout(std::time::Duration::from_secs(60));
            (told.map(drop), next)
        });
        log.truncate_after(Lsn(50)).expect("cut");
        log.append(&payload(50)).expect("appended");
        let (told, next) = waits.join().expect("no panic");
        assert_discarded(told, 50, end.0);
        let next = next.expect("readable").expect("there");
        assert_eq!((next.lsn(), next.payload()), (Lsn(50), &payload(50)[..]));
    });
}

/// `INV-F5`: durably, and only those behind it.
pub fn a_cursor_behind_a_cut_is_set_back_to_it(subject: &dyn Subject) {
    let Some(mut log) = open_to_cut(subject) else {
        return;
    };
    let ahead = log.cursor("ahead").expect("made");
    let behind = log.cursor("behind").expect("made");
    ahead.confirm(Lsn(79)).expect("confirmed");
    behind.confirm(Lsn(29)).expect("confirmed");
    log.truncate_after(Lsn(50)).expect("cut");
    fill(&log, 100);
    assert_eq!((ahead.position(), behind.position()), (Lsn(50), Lsn(30)));

    // It cannot tell the new ones from those that it has seen.
    let refused = ahead.confirm(Lsn(60));
    let is_told = matches!(
        refused,
        Err(CursorError::Discarded {
            lsn: Lsn(60),
            first: Lsn(50)
        })
    );
    assert!(is_told, "INV-F5: {refused:?}");
    behind.confirm(Lsn(49)).expect("nobody cut that");
    let ahead = log.cursor("ahead").expect("there");
    ahead.confirm(Lsn(60)).expect("confirmed");

    if subject.survives_closing() {
        log.close().expect("closed");
        log = open(subject);
    }
    assert_eq!(log.cursor("ahead").expect("there").position(), Lsn(61));
    assert_eq!(log.cursor("behind").expect("there").position(), Lsn(50));
}
