//! A writer and a follower, in turns.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::time::Duration;

use log_mmap::{FollowError, Follower, Lsn, OpenError, ReadError, Reader};

use crate::support::{append_to, next_error, segment_paths, shown, wal_in};

fn follow(directory: &tempfile::TempDir, lsn: u64) -> Follower {
    Follower::open(directory.path(), Lsn(lsn)).unwrap()
}

#[test]
fn what_is_written_is_shown_and_what_is_only_published_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let wal = wal_in(directory.path());
    let mut follower = follow(&directory, 0);
    for end in [1, 2, 10, 50] {
        append_to(&wal, end);
        assert_eq!(shown(&mut follower), [], "only published");
        wal.flush().unwrap();
        let from = follower.next_lsn().0;
        assert_eq!(shown(&mut follower), (from..end).collect::<Vec<_>>());
        assert_eq!(follower.next_lsn(), Lsn(end));
    }
}

#[test]
fn a_follower_goes_on_across_rotations_and_reopenings() {
    let directory = tempfile::tempdir().unwrap();
    let mut follower = None;
    let mut all = Vec::new();
    for round in 1..=5 {
        let wal = wal_in(directory.path());
        let follower = follower.get_or_insert_with(|| follow(&directory, 0));
        for step in 0..4 {
            append_to(&wal, round * 1_000 + step * 250);
            wal.flush().unwrap();
            all.extend(shown(follower));
            assert_eq!(all.len() as u64, wal.next_lsn().0, "INV-W3: no gap");
        }
        wal.close().unwrap();
    }
    assert!(all.into_iter().eq(0..5_750), "each once and in order");
    assert!(segment_paths(directory.path()).len() > 20);
}

#[test]
fn it_begins_anywhere_and_waits_for_what_is_not_there_yet() {
    let directory = tempfile::tempdir().unwrap();
    let wal = wal_in(directory.path());
    append_to(&wal, 1_000);
    wal.flush().unwrap();
    for from in [0, 1, 137, 500, 999, 1_000] {
        let expected = (from..1_000).collect::<Vec<_>>();
        assert_eq!(shown(&mut follow(&directory, from)), expected);
    }
    let mut ahead = follow(&directory, 1_500);
    assert_eq!(shown(&mut ahead), []);
    append_to(&wal, 2_000);
    wal.flush().unwrap();
    assert_eq!(shown(&mut ahead), (1_500..2_000).collect::<Vec<_>>());

    let reader = Reader::open(directory.path()).unwrap();
    let mut live = reader.follow(reader.next_lsn()).unwrap();
    append_to(&wal, 2_001);
    wal.flush().unwrap();
    assert_eq!(shown(&mut live), [2_000], "behind what the reader shows");
}

#[test]
fn waiting_ends_with_a_record_or_with_the_time() {
    let directory = tempfile::tempdir().unwrap();
    let wal = wal_in(directory.path());
    let mut follower = follow(&directory, 0);
    let nothing = follower.next_timeout(Duration::from_millis(5)).unwrap();
    assert!(nothing.is_none());
    let nothing = follower.next_timeout(Duration::ZERO).unwrap();
    assert!(nothing.is_none());
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| follower.next_timeout(Duration::from_secs(60)));
        append_to(&wal, 1);
        wal.flush().unwrap();
        let record = waiting.join().unwrap().unwrap().expect("it was written");
        assert_eq!(record.lsn(), Lsn(0));
    });
}

#[test]
fn fault_40_a_follower_before_the_first_record_is_told_where_the_log_begins() {
    let directory = tempfile::tempdir().unwrap();
    let wal = wal_in(directory.path());
    append_to(&wal, 1_000);
    wal.sync().unwrap();
    let mut late = follow(&directory, 0);
    let mut sleeping = follow(&directory, 0);
    assert_eq!(sleeping.poll().unwrap().unwrap().lsn(), Lsn(0));
    assert!(wal.checkpoint(Lsn(700)).unwrap() > 2);
    let first = wal.first_lsn();

    let mut new = follow(&directory, 3);
    match new.poll() {
        Err(FollowError::Read(ReadError::Truncated {
            requested,
            first: told,
        })) => assert_eq!((requested, told), (Lsn(3), first), "INV-F2"),
        other => panic!("{other:?}"),
    }
    assert_eq!(shown(&mut new), (first.0..1_000).collect::<Vec<_>>());

    // A segment that is mapped can be read on, though its file is gone.
    for follower in [&mut late, &mut sleeping] {
        let mut last = follower.next_lsn().0;
        let error = loop {
            match follower.poll() {
                Ok(Some(record)) => {
                    assert_eq!(record.lsn().0, last);
                    last += 1;
                }
                Ok(None) => panic!("there are more records"),
                Err(error) => break error,
            }
        };
        match error {
            FollowError::Read(ReadError::Truncated {
                requested,
                first: told,
            }) => assert_eq!((requested, told), (Lsn(last), first)),
            other => panic!("{other:?}"),
        }
        assert_eq!(shown(follower), (first.0..1_000).collect::<Vec<_>>());
    }
}

#[test]
fn a_follower_is_told_that_records_which_it_has_shown_were_discarded() {
    for cut in [990, 700, 300, 0] {
        let directory = tempfile::tempdir().unwrap();
        let mut wal = wal_in(directory.path());
        append_to(&wal, 1_000);
        wal.flush().unwrap();
        let mut follower = follow(&directory, 0);
        assert_eq!(shown(&mut follower).len(), 1_000);
        let mut not_so_far = follow(&directory, 0);
        let few = cut.min(250);
        for lsn in 0..few {
            assert_eq!(not_so_far.poll().unwrap().unwrap().lsn(), Lsn(lsn));
        }
        let mut waiting = follow(&directory, 1_000);
        assert!(waiting.poll().unwrap().is_none());

        wal.truncate_after(Lsn(cut)).unwrap();
        match next_error(&mut follower) {
            FollowError::Discarded { first, next } => {
                assert_eq!((first, next), (Lsn(cut), Lsn(1_000)), "INV-W8");
            }
            other => panic!("{other}"),
        }
        append_to(&wal, 1_100);
        wal.flush().unwrap();
        assert_eq!(shown(&mut follower), (cut..1_100).collect::<Vec<_>>());
        let first = waiting.next_timeout(Duration::from_secs(60));
        assert_eq!(
            first.expect("it has nothing to take back").unwrap().lsn(),
            Lsn(1_000)
        );
        assert_eq!(shown(&mut waiting), (1_001..1_100).collect::<Vec<_>>());
        let new = shown(&mut follow(&directory, 0));
        assert_eq!(new, (0..1_100).collect::<Vec<_>>(), "none twice");
        // What it copied before may still come; then it is told.
        let mut seen = few;
        loop {
            match not_so_far.poll() {
                Ok(Some(record)) => seen = record.lsn().0 + 1,
                Ok(None) => break,
                Err(FollowError::Discarded { first, next }) => {
                    assert_eq!((first, next), (Lsn(cut), Lsn(seen)));
                }
                Err(other) => panic!("{other}"),
            }
        }
        assert_eq!(seen, 1_100);
    }
}

#[test]
fn damage_in_a_sealed_segment_is_an_error_with_its_place() {
    let directory = tempfile::tempdir().unwrap();
    let wal = wal_in(directory.path());
    append_to(&wal, 1_000);
    wal.close().unwrap();
    let paths = segment_paths(directory.path());
    let file = OpenOptions::new().write(true).open(&paths[1]).unwrap();
    file.write_all_at(&[0xFF; 3], 9_000).unwrap();
    let mut follower = follow(&directory, 0);
    let error = loop {
        match follower.poll() {
            Ok(record) => drop(record.expect("the damage comes first")),
            Err(error) => break error,
        }
    };
    match error {
        FollowError::Read(ReadError::Damaged(damage)) => {
            assert_eq!(damage.path, paths[1]);
            assert_eq!(damage.lsn, Some(follower.next_lsn()));
            assert!((8_600..=9_002).contains(&damage.position), "{damage}");
        }
        other => panic!("{other}"),
    }
}

#[test]
fn fault_32_a_file_that_was_cut_before_it_is_mapped_is_reported_as_damaged() {
    let directory = tempfile::tempdir().unwrap();
    let wal = wal_in(directory.path());
    append_to(&wal, 1_000);
    wal.close().unwrap();
    let paths = segment_paths(directory.path());
    for kept in [0, 5_000, 9_001, 12_345] {
        let file = OpenOptions::new().write(true).open(&paths[0]).unwrap();
        let whole = fs::read(&paths[0]).unwrap();
        file.set_len(kept).unwrap();
        let mut last = 0;
        let error = match Follower::open(directory.path(), Lsn(0)) {
            Err(OpenError::Damaged(damage)) => damage,
            Err(other) => panic!("{other}"),
            Ok(mut follower) => loop {
                match follower.poll() {
                    Ok(record) => last = record.expect("the damage comes first").lsn().0,
                    Err(FollowError::Read(ReadError::Damaged(damage))) => break damage,
                    Err(other) => panic!("{other}"),
                }
            },
        };
        assert_eq!(error.path, paths[0]);
        assert!(last < 300, "{kept} bytes kept");
        file.write_all_at(&whole, 0).unwrap();
    }
}

#[test]
fn a_log_that_is_not_there_or_goes_away_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    for path in [
        directory.path().join("missing"),
        directory.path().to_path_buf(),
    ] {
        let error = Follower::open(path, Lsn(0)).unwrap_err();
        assert!(matches!(error, OpenError::NoLog { .. }), "{error}");
    }
    let wal = wal_in(directory.path());
    append_to(&wal, 10);
    wal.close().unwrap();
    let mut follower = follow(&directory, 0);
    assert_eq!(shown(&mut follower).len(), 10);
    fs::remove_file(&segment_paths(directory.path())[0]).unwrap();
    let error = next_error(&mut follower);
    assert!(error.to_string().contains("is gone"), "{error}");
}
