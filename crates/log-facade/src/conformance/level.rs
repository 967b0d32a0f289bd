//! What an acknowledgement means.

use super::{Subject, fill, kept, open, open_with, options, payload, reached};
use crate::{AppendError, CommitError, Level, Lsn, OpenError, OptionsError};

/// `INV-F1`: for each kind of append, at each level that is kept.
pub fn an_acknowledgement_means_what_its_level_says(subject: &dyn Subject) {
    let log = open(subject);
    for level in kept(&log) {
        let one = log.append_to(level, b"one").expect("appended");
        assert!(reached(&log, level) > one, "INV-F1: append_to {level:?}");
        let batch = log.append_batch_to(level, &[b"two", b"three"]);
        let end = batch.expect("appended").end;
        assert!(
            reached(&log, level) >= end,
            "INV-F1: append_batch_to {level:?}"
        );
    }
    let end = log.next_lsn();
    if log.keeps() >= Level::Written {
        assert_eq!(log.flush().expect("flushed"), end);
    }
    if log.keeps() >= Level::Durable {
        assert_eq!(log.sync().expect("synced"), end);
        assert_eq!(reached(&log, Level::Durable), end);
    }
    let keeps = log.keeps();
    log.close().expect("closed");
    if subject.survives_closing() {
        let log = open_with(subject, options().acknowledge(keeps));
        let one = log.append(b"one").expect("appended");
        assert!(reached(&log, keeps) > one, "INV-F1: append");
        let one = log.append_in_place(1, |place| place.fill(1));
        assert!(
            reached(&log, keeps) > one.expect("appended"),
            "INV-F1: append_in_place"
        );
    }
}

/// Also `INV-F1`: it is not weakened, and nothing is appended.
pub fn a_level_that_is_not_kept_is_refused_at_once(subject: &dyn Subject) {
    let log = open(subject);
    fill(&log, 1);
    let keeps = log.keeps();
    let above = [Level::Written, Level::Durable].into_iter();
    for level in above.filter(|level| *level > keeps) {
        let is_refusal = |error: &CommitError| matches!(error, CommitError::LevelNotKept { asked, kept } if (*asked, *kept) == (level, keeps));
        let append = log.append_to(level, &payload(1)).map(drop);
        let batch = log.append_batch_to(level, &[b"x"]).map(drop);
        for refused in [append, batch] {
            assert!(
                matches!(&refused, Err(AppendError::Commit(error)) if is_refusal(error)),
                "{refused:?}"
            );
        }
        let flush = match level {
            Level::Durable => log.sync(),
            _ => log.flush(),
        };
        assert!(
            matches!(&flush, Err(error) if is_refusal(error)),
            "{flush:?}"
        );
        for options in [
            options().acknowledge(level),
            options().read_level(level),
            options().flush_level(level).flush_records(1),
        ] {
            let refused = subject.open(options).map(drop);
            let not_kept = OptionsError::LevelNotKept {
                asked: level,
                kept: keeps,
            };
            assert!(
                matches!(&refused, Err(OpenError::Options(error)) if *error == not_kept),
                "{refused:?}"
            );
        }
    }
    assert_eq!(log.next_lsn(), Lsn(1), "INV-F1: nothing was appended");
}

/// Each level includes the ones before it.
pub fn watermarks_never_cross(subject: &dyn Subject) {
    let log = open(subject);
    let check = || {
        let marks = log.watermarks();
        assert!(
            marks.reserved_end >= marks.published_end
                && marks.published_end >= marks.written_end
                && marks.written_end >= marks.durable_end,
            "{marks:?}"
        );
    };
    for round in 1..20 {
        fill(&log, round * 40);
        check();
        if log.keeps() == Level::Durable && round % 3 == 0 {
            log.sync().expect("synced");
            check();
        }
    }
}
