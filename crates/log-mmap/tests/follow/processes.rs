//! Writer and follower in two processes: this test binary runs itself, and one
//! of the tests below that are marked as ignored plays the other process.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use log_mmap::{FollowError, Follower, Lsn, ReadError};

use crate::support::{append_to, checked, segment_paths, wal_in};

const DIRECTORY: &str = "STRATA_FOLLOW_DIRECTORY";

/// Long enough for any machine; nothing waits so long if all is well.
const LONG: Duration = Duration::from_secs(60);

/// The directory that a role works in; `None` if it was not asked to play.
fn given_directory() -> Option<PathBuf> {
    std::env::var_os(DIRECTORY).map(Into::into)
}

/// Another process, killed when it is dropped.
struct Other {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Other {
    fn plays(role: &str, directory: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([role, "--exact", "--ignored", "--nocapture"])
            .env(DIRECTORY, directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, output }
    }

    /// The number that it says behind `word`.
    fn says(&mut self, word: &str) -> u64 {
        let mut line = String::new();
        while self.output.read_line(&mut line).unwrap() > 0 {
            if let Some(number) = line.trim().strip_prefix(word) {
                return number.trim().parse().unwrap();
            }
            line.clear();
        }
        panic!("the other process ended without a word of {word:?}");
    }

    fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args([signal, &pid]).status().unwrap();
        assert!(sent.success());
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        // If a test fails; otherwise it is gone.
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// Appends and flushes for ever, with a sync and a checkpoint now and then.
#[test]
#[ignore = "a role for other tests"]
fn role_writer() {
    let Some(directory) = given_directory() else {
        return;
    };
    let wal = wal_in(&directory);
    println!("ready {}", wal.next_lsn());
    for step in 1_u64.. {
        append_to(&wal, wal.next_lsn().0 + step % 7);
        wal.flush().unwrap();
        if step.is_multiple_of(50) {
            wal.sync().unwrap();
        }
    }
}

/// Follows from the first record on, and says what it has seen.
#[test]
#[ignore = "a role for other tests"]
fn role_follower() {
    let Some(directory) = given_directory() else {
        return;
    };
    let mut follower = Follower::open(directory, Lsn(0)).unwrap();
    println!("ready 0");
    let mut next = 0;
    loop {
        match follower.next_timeout(LONG) {
            Ok(Some(record)) => {
                assert_eq!(checked(&record), next, "no gap");
                next += 1;
                if next.is_multiple_of(100) {
                    println!("seen {next}");
                }
            }
            Ok(None) => panic!("nothing came"),
            Err(FollowError::Read(ReadError::Truncated { requested, first })) => {
                assert_eq!(requested, Lsn(next));
                println!("truncated {first}");
                next = first.0;
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// The next records, until `end`; each the one after the one before.
fn expect_until(follower: &mut Follower, end: u64) {
    while follower.next_lsn().0 < end {
        let next = follower.next_lsn();
        let record = follower.next_timeout(LONG).unwrap().expect("it comes");
        assert_eq!(record.lsn(), next, "INV-M6: no gap and no repetition");
        checked(&record);
    }
}

#[test]
fn a_follower_goes_on_over_every_death_of_the_writer() {
    let directory = tempfile::tempdir().unwrap();
    let mut writer = Other::plays("processes::role_writer", directory.path());
    assert_eq!(writer.says("ready"), 0);
    let mut follower = Follower::open(directory.path(), Lsn(0)).unwrap();
    for round in 1..=5 {
        let seen = follower.next_lsn().0;
        expect_until(&mut follower, seen + 1_500 * round);
        writer.kill();
        writer = Other::plays("processes::role_writer", directory.path());
        let recovered = writer.says("ready");
        assert!(
            recovered >= follower.next_lsn().0,
            "what was shown survives the writer: it was written"
        );
    }
    writer.kill();
    assert!(follower.next_lsn() > Lsn(20_000));
    assert!(
        segment_paths(directory.path()).len() > 50,
        "across rotations"
    );
}

#[test]
fn fault_47_followers_in_other_processes_see_every_record_across_rotations() {
    let directory = tempfile::tempdir().unwrap();
    let wal = wal_in(directory.path());
    let mut followers = [0, 1].map(|_| Other::plays("processes::role_follower", directory.path()));
    for follower in &mut followers {
        follower.says("ready");
    }
    for step in 1..=20 {
        append_to(&wal, step * 500);
        wal.flush().unwrap();
    }
    for follower in &mut followers {
        while follower.says("seen") < 10_000 {}
    }
    followers.into_iter().for_each(Other::kill);
}

#[test]
fn a_stalled_or_dead_follower_never_holds_up_the_writer() {
    let directory = tempfile::tempdir().unwrap();
    let wal = wal_in(directory.path());
    let [mut stalled, mut dead] =
        [0, 1].map(|_| Other::plays("processes::role_follower", directory.path()));
    append_to(&wal, 300);
    wal.flush().unwrap();
    for follower in [&mut stalled, &mut dead] {
        while follower.says("seen") < 300 {}
    }
    stalled.signal("-STOP");
    dead.kill();

    // Many segments, retention behind them: INV-C6, across processes.
    for step in 1..=20 {
        append_to(&wal, 300 + step * 500);
        wal.sync().unwrap();
        wal.checkpoint(Lsn(step * 500)).unwrap();
    }
    let first = wal.first_lsn();
    assert!(first > Lsn(9_000));

    // What it has mapped it reads to its end, and then it is told.
    stalled.signal("-CONT");
    assert_eq!(stalled.says("truncated"), first.0);
    append_to(&wal, 11_000);
    wal.flush().unwrap();
    while stalled.says("seen") < 11_000 {}
    stalled.kill();
}

/// Shows the first record, and then on request all others.
#[test]
#[ignore = "a role for other tests"]
fn role_follower_on_request() {
    let Some(directory) = given_directory() else {
        return;
    };
    let mut follower = Follower::open(directory, Lsn(0)).unwrap();
    checked(&follower.poll().unwrap().unwrap());
    println!("seen 1");
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
    loop {
        match follower.poll() {
            Ok(Some(record)) => println!("shows {}", checked(&record)),
            Ok(None) => break println!("ended {}", follower.next_lsn()),
            Err(error) => break println!("failed: {error}"),
        }
    }
}

#[test]
fn fault_32_a_file_that_is_cut_while_it_is_mapped_ends_the_process_and_shows_nothing_wrong() {
    use std::io::Write;
    let directory = tempfile::tempdir().unwrap();
    // More than is copied at one time.
    let wide = log_mmap::WalOptions::default().segment_bytes(1 << 20);
    let wal = log_wal::Wal::open_with(directory.path(), wide).unwrap();
    append_to(&wal, 5_000);
    wal.close().unwrap();
    let mut follower = Other::plays("processes::role_follower_on_request", directory.path());
    follower.says("seen");
    let path = &segment_paths(directory.path())[0];
    let file = OpenOptions::new().write(true).open(path).unwrap();
    file.set_len(16 << 10).unwrap();
    let mut stdin = follower.child.stdin.take().unwrap();
    stdin.write_all(b"go on\n").unwrap();
    let mut said = String::new();
    std::io::Read::read_to_string(&mut follower.output, &mut said).unwrap();
    let status = follower.child.wait().unwrap();
    const SIGBUS: i32 = 7;
    assert_eq!(status.signal(), Some(SIGBUS), "as documented: {said}");
    // What was copied before the cut was checked then.
    let shows = said.lines().filter_map(|line| line.strip_prefix("shows "));
    let shows: Vec<u64> = shows.map(|lsn| lsn.parse().unwrap()).collect();
    assert!(shows.iter().copied().eq(1..=shows.len() as u64));
    assert!(shows.len() < 4_999 && !said.contains("ended"), "{said}");
}
