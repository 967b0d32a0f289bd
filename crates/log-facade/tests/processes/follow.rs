//! Following a log that another process writes, over the death of its writer.

use std::time::Duration;

use log_facade::{FollowError, Follower, Level, LogReader, Lsn, NewRecord};

use super::{Other, given_directory, payload, small};

/// Long enough for any machine; nothing waits so long if all is well.
const LONG: Duration = Duration::from_secs(60);

/// Appends in one way or another, and says how far it came, until it is killed.
#[test]
#[ignore = "plays the other process of a test"]
fn write_until_killed() {
    let Some(directory) = given_directory() else {
        return;
    };
    let log = small().open(directory).unwrap();
    println!("ready: {}", log.next_lsn());
    for step in 0_u64.. {
        let next = log.next_lsn().0;
        let payloads: Vec<_> = (next..next + 1 + step % 5).map(payload).collect();
        let keyed = |payload| NewRecord::new(payload).key(b"key");
        let records: Vec<_> = payloads.iter().map(|it| keyed(&it[..])).collect();
        log.append_records_to(Level::Written, &records).unwrap();
        println!("wrote: {}", log.next_lsn());
    }
}

/// Takes records until `end`, each the one behind the last.
fn follow_to(follower: &mut Follower, end: u64) {
    while follower.next_lsn().0 < end {
        let next = follower.next_lsn();
        let record = follower.next_timeout(LONG).unwrap().expect("it comes");
        assert_eq!(record.lsn(), next, "INV-M6: no gap and no repetition");
        assert_eq!(record.payload(), payload(next.0));
        assert_eq!(record.key(), Some(&b"key"[..]));
        assert!(record.timestamp().is_some(), "stamped by its writer");
    }
}

/// Faults 45, 47.
#[test]
fn a_reader_follows_what_other_processes_write_over_their_deaths() {
    let directory = tempfile::tempdir().unwrap();
    let mut writer = Other::plays("follow::write_until_killed", directory.path());
    assert_eq!(writer.says(), Some(("ready".to_owned(), 0)));
    let reader = LogReader::open(directory.path()).unwrap();
    let mut follower = reader.follow(Lsn(0)).unwrap();
    for life in 1..=4 {
        let end = loop {
            let (word, end) = writer.says().unwrap();
            if word == "wrote" && end > life * 400 {
                break end;
            }
        };
        follow_to(&mut follower, end);
        writer.kill();
        writer = Other::plays("follow::write_until_killed", directory.path());
        let (word, found) = writer.says().unwrap();
        assert_eq!(word, "ready");
        assert!(found >= follower.next_lsn().0, "what was shown was written");
    }
    writer.kill();
    let reader = LogReader::open(directory.path()).unwrap();
    assert!(reader.segments().len() > 10, "across rotations");
    // Where a reader ends, its follower goes on.
    let mut behind = reader.follow(reader.next_lsn()).unwrap();
    assert!(behind.poll().unwrap().is_none());
    let log = small().open(directory.path()).unwrap();
    let next = log.next_lsn();
    assert_eq!(next, reader.next_lsn());
    log.append_to(Level::Written, b"news").unwrap();
    let news = behind.next_timeout(LONG).unwrap().expect("it comes");
    assert_eq!((news.lsn(), news.payload()), (next, &b"news"[..]));
}

#[test]
fn a_follower_is_told_what_was_cut_after_it_was_shown() {
    let directory = tempfile::tempdir().unwrap();
    let mut log = small().open(directory.path()).unwrap();
    for number in 0..50 {
        log.append(&payload(number)).unwrap();
    }
    log.sync().unwrap();
    let reader = LogReader::open(directory.path()).unwrap();
    let mut follower = reader.follow(Lsn(30)).unwrap();
    for number in 30..50 {
        let record = follower.next_timeout(LONG).unwrap().expect("it is there");
        assert_eq!(record.lsn(), Lsn(number));
    }
    log.truncate_after(Lsn(40)).unwrap();
    log.append_to(Level::Written, b"another").unwrap();
    let told = follower.next_timeout(LONG).unwrap_err();
    let is_told = matches!(
        told,
        FollowError::Discarded {
            first: Lsn(40),
            next: Lsn(50)
        }
    );
    assert!(is_told, "{told:?}");
    let another = follower.next_timeout(LONG).unwrap().expect("it comes");
    assert_eq!(
        (another.lsn(), another.payload()),
        (Lsn(40), &b"another"[..])
    );
}

#[test]
fn a_reader_finds_records_by_time_and_in_slices() {
    use log_facade::Timestamp;
    let directory = tempfile::tempdir().unwrap();
    let log = small().open(directory.path()).unwrap();
    for number in 0..300 {
        let payload = payload(number);
        let record = NewRecord::new(&payload).timestamp(Timestamp(1000 + number));
        log.append_record(&record).unwrap();
    }
    log.sync().unwrap();
    let reader = LogReader::open(directory.path()).unwrap();
    for number in [0, 17, 250, 299] {
        let found = reader.lsn_at_or_after(Timestamp(1000 + number)).unwrap();
        assert_eq!(found, Some(Lsn(number)));
    }
    assert_eq!(reader.lsn_at_or_after(Timestamp(1300)).unwrap(), None);
    let slice = reader.read_slice(Lsn(120), 60).unwrap();
    assert_eq!((slice.records.len(), slice.next_lsn), (60, Lsn(180)));
    assert_eq!(slice.records[59].payload(), payload(179));
}
