//! `strata cat`: the payloads, one behind the other.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::time::Duration;

use log_facade::{FollowError, Follower, LogReader, Lsn, Record};

use crate::args::CatArgs;
use crate::failure::{Failure, Verdict};
use crate::output;

/// How much goes to stdout in one write, unless a record is longer. Small
/// enough to stay in the processor's second cache.
const WRITE_BYTES: usize = 256 << 10;

/// How long it waits for a record at a time.
const WAIT: Duration = Duration::from_secs(60);

/// The way out.
struct Out(BufWriter<File>);

pub(crate) fn run(args: &CatArgs) -> Result<Verdict, Failure> {
    let reader = LogReader::open(&args.log).map_err(|error| Failure::open(&args.log, &error))?;
    let from = begin(args, &reader)?;
    let limit = args.limit.map_or(usize::MAX, |limit| {
        usize::try_from(limit).unwrap_or(usize::MAX)
    });
    let mut out = Out(BufWriter::with_capacity(WRITE_BYTES, output::unbuffered()?));
    if args.follow {
        let follower = reader.follow(from);
        let follower = follower.map_err(|error| Failure::open(&args.log, &error))?;
        return follow(args, follower, limit, out);
    }
    for record in reader.iter_from(from).take(limit) {
        match record {
            Ok(record) => {
                if !out.put(&record)? {
                    return Ok(Verdict::Fine);
                }
            }
            Err(error) => {
                // What could be read is worth having.
                out.flush()?;
                return Err(Failure::read(&args.log, &error));
            }
        }
    }
    out.flush()?;
    Ok(Verdict::Fine)
}

/// The first record that was asked for.
fn begin(args: &CatArgs, reader: &LogReader) -> Result<Lsn, Failure> {
    let Some(moment) = args.from_time else {
        return Ok(args.from.unwrap_or_else(|| reader.first_lsn()));
    };
    let failed = |error| Failure::read(&args.log, &error);
    if let Some(found) = reader.lsn_at_or_after(moment).map_err(failed)? {
        return Ok(found);
    }
    let last = reader.iter().next_back().transpose().map_err(failed)?;
    match last {
        Some(last) if last.timestamp().is_none() => Err(Failure::new(format!(
            "{}: its records have no time to be found by; `strata ingest --stamp` gives them one",
            args.log.display()
        ))),
        // Those that are still to come are later.
        _ => Ok(reader.next_lsn()),
    }
}

/// Goes on with what is written, until there was enough or nobody reads on.
fn follow(
    args: &CatArgs,
    mut follower: Follower,
    limit: usize,
    mut out: Out,
) -> Result<Verdict, Failure> {
    for _ in 0..limit {
        match next(&mut follower, &mut out)? {
            Ok(Some(record)) => {
                if !out.put(&record)? {
                    return Ok(Verdict::Fine);
                }
            }
            Ok(None) => return Ok(Verdict::Fine),
            Err(error) => {
                out.flush()?;
                return Err(match error {
                    FollowError::Read(error) => Failure::read(&args.log, &error),
                    other => Failure::new(format!("{}: {other}", args.log.display())),
                });
            }
        }
    }
    out.flush()?;
    Ok(Verdict::Fine)
}

/// The next record; `None` when nobody reads stdout any more.
fn next(
    follower: &mut Follower,
    out: &mut Out,
) -> Result<Result<Option<Record>, FollowError>, Failure> {
    loop {
        match follower.poll() {
            Ok(None) => {}
            there => return Ok(there),
        }
        // Nobody waits for what is there.
        if !out.flush()? {
            return Ok(Ok(None));
        }
        match follower.next_timeout(WAIT) {
            Ok(None) => {}
            there => return Ok(there),
        }
    }
}

impl Out {
    /// Whether there still is a reader.
    fn put(&mut self, record: &Record) -> Result<bool, Failure> {
        output::unless_closed(self.0.write_all(record.payload()))
    }

    fn flush(&mut self) -> Result<bool, Failure> {
        output::unless_closed(self.0.flush())
    }
}
