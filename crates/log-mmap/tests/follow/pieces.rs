//! Every state that a file can be seen in while it is written: piece by piece,
//! in any order, over old bytes.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use log_mmap::{Follower, Lsn};
use proptest::prelude::*;

use crate::support::{payload, segment_paths, shown, small, wal_in};

const FIRST: usize = 8192;

/// A log of one segment with singles, batches and marks: where its batches end,
/// and the bytes of its frames.
fn made(directory: &Path) -> (Vec<u64>, Vec<u8>, usize) {
    let wal = wal_in(directory);
    let mut ends = vec![0];
    for batch in [1_u64, 3, 1, 1, 7, 2, 1] {
        let from = wal.next_lsn().0;
        let payloads: Vec<_> = (from..from + batch).map(payload).collect();
        let payloads: Vec<_> = payloads.iter().map(Vec::as_slice).collect();
        wal.append_batch(&payloads).unwrap();
        ends.push(from + batch);
        if batch == 1 {
            wal.sync().unwrap();
        }
    }
    wal.sync().unwrap();
    drop(wal);
    let bytes = fs::read(&segment_paths(directory)[0]).unwrap();
    let last = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    (ends, bytes, (last + 8) / 8 * 8)
}

/// The same log with nothing behind its headers but `old` bytes.
fn emptied(directory: &Path, bytes: &[u8], old: &[u8]) -> (tempfile::TempDir, File) {
    let copy = tempfile::tempdir().unwrap();
    let name = segment_paths(directory)[0].file_name().unwrap().to_owned();
    let path = copy.path().join(name);
    let mut contents = bytes[..FIRST].to_vec();
    contents.extend(
        old.iter()
            .chain(&vec![0; bytes.len()])
            .take(bytes.len() - FIRST),
    );
    fs::write(&path, contents).unwrap();
    let file = OpenOptions::new().write(true).open(path).unwrap();
    (copy, file)
}

#[test]
fn whatever_is_written_so_far_what_is_shown_is_a_prefix_of_whole_batches() {
    let directory = tempfile::tempdir().unwrap();
    let (ends, bytes, used) = made(directory.path());
    let old_log = tempfile::tempdir().unwrap();
    let (_, old, _) = made(old_log.path());
    for old in [&[][..], &old[FIRST..]] {
        let (copy, file) = emptied(directory.path(), &bytes, old);
        let mut follower = Follower::open(copy.path(), Lsn(0)).unwrap();
        let mut all = Vec::new();
        for position in FIRST..used {
            file.write_all_at(&bytes[position..=position], position as u64)
                .unwrap();
            all.extend(shown(&mut follower));
            let end = all.len() as u64;
            assert!(ends.contains(&end), "INV-M6: {end} after byte {position}");
        }
        assert!(all.iter().copied().eq(0..*ends.last().unwrap()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn pieces_may_come_in_any_order(
        order in Just((0..64_usize).collect::<Vec<_>>()).prop_shuffle(),
        piece_units in 1_usize..9,
        over_old in any::<bool>(),
    ) {
        let directory = tempfile::tempdir().unwrap();
        let (ends, bytes, used) = made(directory.path());
        let old_log = tempfile::tempdir().unwrap();
        let (_, old, _) = made(old_log.path());
        let old = if over_old { &old[FIRST..] } else { &[] };
        let (copy, file) = emptied(directory.path(), &bytes, old);
        let mut follower = Follower::open(copy.path(), Lsn(0)).unwrap();
        let mut all = Vec::new();
        let piece = piece_units * 8;
        let pieces = (used - FIRST).div_ceil(piece);
        for round in 0..pieces.div_ceil(64) {
            for at in order.iter().map(|at| round * 64 + at).filter(|at| *at < pieces) {
                let from = FIRST + at * piece;
                let to = (from + piece).min(used);
                file.write_all_at(&bytes[from..to], from as u64).unwrap();
                all.extend(shown(&mut follower));
                prop_assert!(ends.contains(&(all.len() as u64)), "INV-M6");
            }
        }
        prop_assert!(all.into_iter().eq(0..*ends.last().unwrap()));
    }
}

#[test]
fn what_a_crash_left_unfinished_is_passed_over_when_the_log_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let (ends, bytes, used) = made(directory.path());
    // In the last two batches, of two records and of one, and in the mark.
    for cut in (used - 200..used).step_by(8) {
        let (copy, file) = emptied(directory.path(), &bytes, &[]);
        file.write_all_at(&bytes[FIRST..cut], FIRST as u64).unwrap();
        let mut follower = Follower::open(copy.path(), Lsn(0)).unwrap();
        let whole = shown(&mut follower).len() as u64;
        assert!(ends.contains(&whole));
        let wal = log_wal::Wal::open_with(copy.path(), small()).unwrap();
        assert_eq!(wal.next_lsn(), Lsn(whole), "recovery finds what was shown");
        wal.append(&payload(whole)).unwrap();
        wal.sync().unwrap();
        let next = follower.next_timeout(std::time::Duration::from_secs(60));
        assert_eq!(next.unwrap().unwrap().lsn(), Lsn(whole));
    }
}
