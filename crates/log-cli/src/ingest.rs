//! `strata ingest`: each line becomes a record.
//!
//! Whatever ends a run, what was appended before is acknowledged and stays: a
//! line that is refused or an input that breaks costs nothing that came before.

use std::fs::File;
use std::io::{self, Write};
use std::ops::Range;
use std::path::Path;
use std::time::{Duration, Instant};

use log_facade::{AppendError, CommitError, Level, Log, Lsn, TailState};

use crate::args::{Ack, IngestArgs};
use crate::failure::{self, Failure, Verdict};
use crate::input::Input;
use crate::lines::{Block, Blocks, Next, Stop};
use crate::output::{self, fields, grouped};
use crate::progress::Progress;

pub(crate) fn run(args: &IngestArgs) -> Result<Verdict, Failure> {
    let input = Input::open(&args.file)?;
    let log = open(args)?;
    let started = Instant::now();
    let mut intake = Intake {
        log: &log,
        ack: args.ack,
        batch: args.batch,
        acks: args.report_acks.then(output::unbuffered).transpose()?,
        unacknowledged: 0,
        acknowledged_end: log.next_lsn(),
        records: 0,
        bytes: 0,
    };
    let first_lsn = intake.acknowledged_end;
    intake.take(input, args)?;
    let (records, bytes) = (intake.records, intake.bytes);
    log.sync()?;
    let mut summary = Summary {
        records,
        bytes,
        took: Duration::ZERO,
        ack: args.ack,
        fsyncs: log.stats().engine.syncs,
        segments: log.segments().len(),
        lsns: first_lsn..log.next_lsn(),
    };
    log.close()?;
    summary.took = started.elapsed();
    if args.report_acks {
        // If stderr is gone there is nobody to tell.
        let _ = io::stderr().write_all(summary.text().as_bytes());
    } else {
        output::print(&summary.text())?;
    }
    Ok(Verdict::Fine)
}

/// What a run did.
struct Summary {
    records: u64,
    bytes: u64,
    took: Duration,
    ack: Ack,
    fsyncs: u64,
    segments: usize,
    lsns: Range<Lsn>,
}

impl Summary {
    fn text(&self) -> String {
        let seconds = self.took.as_secs_f64();
        fields(&[
            ("records", grouped(self.records)),
            ("bytes", grouped(self.bytes)),
            ("seconds", format!("{seconds:.3}")),
            ("MB/s", format!("{:.1}", self.bytes as f64 / 1e6 / seconds)),
            ("acknowledged", self.ack.name().to_owned()),
            ("fsyncs", grouped(self.fsyncs)),
            ("segments", grouped(self.segments as u64)),
            ("first lsn", self.lsns.start.to_string()),
            ("next lsn", self.lsns.end.to_string()),
        ])
    }
}

fn open(args: &IngestArgs) -> Result<Log, Failure> {
    let mut options = Log::options()
        .stamp(args.stamp)
        .record_bytes_max(args.record_bytes_max as usize);
    if let Some(bytes) = args.segment_bytes {
        options = options.segment_bytes(bytes);
    }
    let log = options
        .open(&args.log)
        .map_err(|error| Failure::open(&args.log, &error))?;
    let tail = &log.report().tail;
    if *tail != TailState::Clean {
        failure::note("ingest", tail.to_string());
    }
    Ok(log)
}

/// Takes lines in, and acknowledges them.
#[derive(Debug)]
struct Intake<'a> {
    log: &'a Log,
    ack: Ack,
    /// How many records one acknowledgement covers at most.
    batch: u64,
    /// Where to report each acknowledgement, as long as somebody listens.
    acks: Option<File>,
    unacknowledged: u64,
    acknowledged_end: Lsn,
    records: u64,
    bytes: u64,
}

impl Intake<'_> {
    /// Everything that `input` has.
    fn take(&mut self, input: Input, args: &IngestArgs) -> Result<(), Failure> {
        let progress = Progress::new(input.size_bytes);
        let pauses = input.size_bytes.is_none();
        let mut blocks = Blocks::read_ahead(input.file, args.record_bytes_max as usize)
            .map_err(|cause| Failure::io(&input.name, "start to read", &cause))?;
        loop {
            match blocks.next_block() {
                Ok(Next::Block(block)) => {
                    self.store(&block, &args.log, &input.name)?;
                    progress.advance(block.bytes().len() as u64);
                    blocks.recycle(block);
                }
                Ok(Next::Pause) if pauses => self.acknowledge()?,
                Ok(Next::Pause) => {}
                Ok(Next::End) => return self.acknowledge(),
                Err(stop) => return Err(self.stop(&stop, args, &input.name)),
            }
        }
    }

    fn store(&mut self, block: &Block, dir: &Path, input: &str) -> Result<(), Failure> {
        for line in block.lines() {
            if let Err(error) = self.log.append_to(Level::Published, line) {
                return Err(self.not_appended(&error, dir, input));
            }
            self.records += 1;
            self.bytes += line.len() as u64;
            self.unacknowledged += 1;
            if self.unacknowledged == self.batch {
                self.acknowledge()?;
            }
        }
        Ok(())
    }

    /// Waits until everything appended so far has reached the level.
    fn acknowledge(&mut self) -> Result<(), Failure> {
        if self.unacknowledged == 0 {
            return Ok(());
        }
        let reached = match self.ack {
            Ack::Published => Ok(self.log.next_lsn()),
            Ack::Written => self.log.flush(),
            Ack::Durable => self.log.sync(),
        };
        self.acknowledged_end = reached.map_err(|error| self.not_acknowledged(&error))?;
        self.unacknowledged = 0;
        self.report()
    }

    fn report(&mut self) -> Result<(), Failure> {
        if let Some(acks) = &mut self.acks {
            let line = format!("{}\n", self.acknowledged_end);
            if !output::unless_closed(acks.write_all(line.as_bytes()))? {
                self.acks = None;
            }
        }
        Ok(())
    }

    /// Why the input ended early, once what came before is acknowledged.
    fn stop(&mut self, stop: &Stop, args: &IngestArgs, input: &str) -> Failure {
        let failure = match stop {
            Stop::TooLong => self.line_too_long(args.record_bytes_max, input),
            Stop::Io(cause) => Failure::io(&input, "read", cause),
        };
        self.ending(failure)
    }

    fn not_appended(&mut self, error: &AppendError, dir: &Path, input: &str) -> Failure {
        let failure = match error {
            AppendError::TooLong { max, .. } => self.line_too_long(*max as u64, input),
            AppendError::Commit(error) => return self.not_acknowledged(error),
            _ => Failure::new(format!(
                "{}: line {} of {input}: {error}",
                dir.display(),
                self.records + 1
            )),
        };
        self.ending(failure)
    }

    fn line_too_long(&self, max: u64, input: &str) -> Failure {
        Failure::new(format!(
            "{input}: line {} is longer than the {} that a record may have here; split it, or see --record-bytes-max",
            self.records + 1,
            output::count(max, "byte"),
        ))
    }

    /// `failure`, once everything before it is acknowledged; else what is worse.
    fn ending(&mut self, failure: Failure) -> Failure {
        match self.acknowledge() {
            Ok(()) => {
                let stored = output::count(self.records, "line");
                failure.and(format!("stored before it: {stored}"))
            }
            Err(worse) => worse,
        }
    }

    fn not_acknowledged(&self, error: &CommitError) -> Failure {
        let (end, level) = (self.acknowledged_end, self.ack.name());
        Failure::new(error.to_string()).and(format!("every record before {end} is {level}"))
    }
}
