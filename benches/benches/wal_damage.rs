//! What does a log do when its process is killed, or its files are damaged?
//!
//! Not a matter of time: every log appends 300 records of 256 bytes, each
//! acknowledged as durable, and is closed. Then one bit is turned, a sector is
//! zeroed or the end of a file is cut off, at a place drawn by lot among the
//! bytes that it has written, and another process opens it and reads
//! everything. Or it is killed while it appends. What comes back is judged by
//! what was acknowledged: nothing but *whole* is right after a kill, and after
//! damage also an error, which leaves somebody the choice. The lots are the
//! same in every run.

use std::env;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio, abort};
use std::thread;
use std::time::Duration;

use fastrand::Rng;
use log_benches::damage::{Contents, Fault, Verdict, copy, record};
use log_benches::effort::Effort;
use log_benches::logs::{Open, Strata};
use log_benches::scratch;
use log_wal::Level;

/// What the second process is told: to write or to read, which log, where, and
/// how many records were acknowledged.
const ROLE: &str = "STRATA_BENCH_DAMAGE_ROLE";
const LOG: &str = "STRATA_BENCH_DAMAGE_LOG";
const DIRECTORY: &str = "STRATA_BENCH_DAMAGE_DIRECTORY";
const ACKNOWLEDGED: &str = "STRATA_BENCH_DAMAGE_ACKNOWLEDGED";

const RECORDS: u64 = 300;
const LOTS: u64 = 200;
/// Reading takes milliseconds; who needs longer does not come to an end.
const PATIENCE: Duration = Duration::from_secs(20);

struct Contestant {
    name: &'static str,
    open: Open,
    contents: fn(&Path) -> Result<Contents, String>,
}

fn contestants() -> Vec<Contestant> {
    let ours = Contestant {
        name: "Strata",
        open: Strata::boxed,
        contents: Strata::contents,
    };
    #[cfg_attr(not(feature = "peers"), expect(unused_mut))]
    let mut all = vec![ours];
    #[cfg(feature = "peers")]
    {
        use log_benches::peers::{okaywal, raft_engine, wal_db, walogs};
        let peer = |name, open, contents| Contestant {
            name,
            open,
            contents,
        };
        all.push(peer("wal-db", wal_db::open, wal_db::contents));
        all.push(peer("walogs", walogs::open, walogs::contents));
        all.push(peer("okaywal", okaywal::open, okaywal::contents));
        all.push(peer(
            "raft-engine",
            raft_engine::open,
            raft_engine::contents,
        ));
    }
    all
}

fn main() {
    if let Ok(role) = env::var(ROLE) {
        return second_process(&role);
    }
    let effort = Effort::from_args();
    let faults = [
        ("one bit is turned", Some(Fault::Bit)),
        ("a sector is zeroed", Some(Fault::Sector)),
        ("the end of a file is cut off", Some(Fault::End)),
        ("killed while it appends", None),
    ];
    for (title, fault) in faults {
        if !effort.wants(title) {
            continue;
        }
        println!(
            "\n| {title} | whole | refused | cut, and says so | gone silently | wrong | crashed |"
        );
        println!("|---|---:|---:|---:|---:|---:|---:|");
        for contestant in contestants() {
            let verdicts = match fault {
                Some(fault) => damaged(&contestant, fault, effort.scaled(LOTS)),
                None => killed(&contestant, effort.scaled(LOTS)),
            };
            let counts = Verdict::ALL.map(|verdict| {
                let count = verdicts.iter().filter(|found| **found == verdict);
                format!(" {} |", count.count())
            });
            println!("| {} |{}", contestant.name, counts.concat());
        }
    }
}

/// What becomes of a log that was closed and then damaged, lot by lot.
fn damaged(contestant: &Contestant, fault: Fault, lots: u64) -> Vec<Verdict> {
    let whole = scratch::directory();
    let log = (contestant.open)(whole.path(), Level::Durable);
    for number in 0..RECORDS {
        log.append(0, &record(number));
    }
    drop(log);
    let lot = |seed| {
        let directory = scratch::directory();
        copy(whole.path(), directory.path()).expect("it can be copied");
        let struck = fault.strike(directory.path(), &mut Rng::with_seed(seed));
        struck.expect("it can be damaged");
        judge(contestant, directory.path(), RECORDS)
    };
    (0..lots).map(lot).collect()
}

/// What becomes of a log whose process is killed.
fn killed(contestant: &Contestant, lots: u64) -> Vec<Verdict> {
    let lot = |seed| {
        let directory = scratch::directory();
        let mut writer = start(contestant, "write", directory.path(), 0);
        let output = writer.stdout.take().expect("it is piped");
        let mut acknowledgements = BufReader::new(output).lines();
        let enough = Rng::with_seed(seed).usize(1..RECORDS as usize);
        let mut acknowledged = 0;
        acknowledged += acknowledgements.by_ref().take(enough).count() as u64;
        writer.kill().expect("it runs");
        // What it had said before it died counts as well.
        acknowledged += acknowledgements.map_while(Result::ok).count() as u64;
        writer.wait().expect("it was killed");
        judge(contestant, directory.path(), acknowledged)
    };
    (0..lots).map(lot).collect()
}

/// Lets another process open what is there, because that may kill it.
fn judge(contestant: &Contestant, directory: &Path, acknowledged: u64) -> Verdict {
    let reader = start(contestant, "read", directory, acknowledged);
    let output = reader.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stdout);
    let verdict = Verdict::ALL
        .into_iter()
        .find(|verdict| said.contains(&format!("{verdict:?}")));
    match output.status.success() {
        true => verdict.unwrap_or(Verdict::Crashed),
        false => Verdict::Crashed,
    }
}

fn start(contestant: &Contestant, role: &str, directory: &Path, acknowledged: u64) -> Child {
    let program = env::current_exe().expect("this program has a path");
    let started = Command::new(program)
        .env(ROLE, role)
        .env(LOG, contestant.name)
        .env(DIRECTORY, directory)
        .env(ACKNOWLEDGED, acknowledged.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    started.expect("it starts")
}

fn second_process(role: &str) {
    let told = |variable| env::var(variable).expect("the first process says so");
    let (log, directory) = (told(LOG), told(DIRECTORY));
    let all = contestants();
    let contestant = all.iter().find(|contestant| contestant.name == log);
    let contestant = contestant.expect("both are the same program");
    if role == "write" {
        return write(contestant, Path::new(&directory));
    }
    thread::spawn(|| {
        thread::sleep(PATIENCE);
        abort();
    });
    let acknowledged = told(ACKNOWLEDGED).parse().expect("a number");
    let contents = (contestant.contents)(Path::new(&directory));
    println!("{:?}", Verdict::of(&contents, acknowledged));
}

/// Says how many records are durable, until it is killed.
fn write(contestant: &Contestant, directory: &Path) {
    let log = (contestant.open)(directory, Level::Durable);
    let mut output = io::stdout().lock();
    for number in 0.. {
        log.append(0, &record(number));
        if writeln!(output, "{number}")
            .and_then(|()| output.flush())
            .is_err()
        {
            // Nobody listens any more.
            return;
        }
    }
}
