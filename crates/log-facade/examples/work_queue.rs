//! A durable work queue: jobs are records, and a named cursor remembers which
//! of them are done. A worker that dies does its last job again.
//!
//! ```text
//! cargo run -p log-facade --example work_queue
//! ```

use std::error::Error;

use log_facade::{Log, PinBound, StartAt, Subscription};

type Outcome<T> = Result<T, Box<dyn Error>>;

const WORKER: &str = "mailer";

fn jobs_of(log: &Log) -> Outcome<Subscription> {
    Ok(log.subscribe(StartAt::Cursor(WORKER.to_owned()))?)
}

/// Does what waits, and confirms each job once it is done: at least once, that
/// is. Stops in front of confirming job `dies_at`.
fn work(log: &Log, dies_at: Option<u64>) -> Outcome<Vec<String>> {
    let cursor = log.cursor(WORKER)?;
    let mut done = Vec::new();
    let mut jobs = jobs_of(log)?;
    while let Some(job) = jobs.try_next()? {
        done.push(String::from_utf8(job.payload().to_vec())?);
        if dies_at == Some(job.lsn().0) {
            break;
        }
        cursor.confirm(job.lsn())?;
    }
    Ok(done)
}

fn main() -> Outcome<()> {
    let directory = tempfile::tempdir()?;
    let log = Log::open(directory.path())?;
    // Retention waits for this consumer, but not for more than a gigabyte.
    log.cursor(WORKER)?
        .pin(PinBound::unbounded().bytes(1 << 30))?;
    for job in ["mail ada", "mail bob", "mail eve"] {
        log.append(job.as_bytes())?;
    }

    let done = work(&log, Some(1))?;
    assert_eq!(done, ["mail ada", "mail bob"]);
    drop(log);

    let log = Log::open(directory.path())?;
    let done = work(&log, None)?;
    assert_eq!(
        done,
        ["mail bob", "mail eve"],
        "the last one again, none lost"
    );
    assert!(
        jobs_of(&log)?.try_next()?.is_none(),
        "nothing is left to do"
    );
    println!("all jobs are done");
    Ok(())
}

#[test]
fn every_job_is_done_at_least_once() -> Outcome<()> {
    main()
}
