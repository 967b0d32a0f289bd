//! `strata compact`: of the records with one key, the newest stays.

use std::collections::HashMap;

use log_facade::{Log, LogReader, Lsn, ReadError, SegmentInfo, SegmentState};

use crate::args::CompactArgs;
use crate::failure::{Failure, Verdict};
use crate::output::{self, fields, grouped};

pub(crate) fn run(args: &CompactArgs) -> Result<Verdict, Failure> {
    // First as a reader: a writer would make a log where there is none.
    let reader = LogReader::open(&args.log).map_err(|error| Failure::open(&args.log, &error))?;
    let end = args.before.unwrap_or(reader.next_lsn());
    output::print(&match args.dry_run {
        true => {
            let foreseen = Foreseen::of(&reader, end);
            let foreseen = foreseen.map_err(|error| Failure::read(&args.log, &error))?;
            format!("dry run: nothing was changed\n{}", foreseen.text())
        }
        false => compact(args, end)?,
    })?;
    Ok(Verdict::Fine)
}

fn compact(args: &CompactArgs, end: Lsn) -> Result<String, Failure> {
    let log = Log::open(&args.log).map_err(|error| Failure::open(&args.log, &error))?;
    let report = log.compact_before(end, |_| true);
    let report =
        report.map_err(|error| Failure::new(format!("{}: {error}", args.log.display())))?;
    log.close()?;
    Ok(fields(&[
        ("segments written anew", grouped(report.segments as u64)),
        ("records kept in them", grouped(report.kept_records)),
        ("records taken out", grouped(report.dropped_records)),
        ("bytes given back", grouped(report.hole_bytes)),
    ]))
}

/// What compaction would do, found by looking only.
#[derive(Debug, Default)]
struct Foreseen {
    segments: u64,
    kept_records: u64,
    dropped_records: u64,
    /// Of the records that would go.
    payload_bytes: u64,
}

impl Foreseen {
    fn of(reader: &LogReader, end: Lsn) -> Result<Self, ReadError> {
        let mut segments = reader.segments();
        segments.retain(|it| it.state == SegmentState::Sealed && it.end <= end);
        let newest = newest_by_key(reader, &segments)?;
        let mut foreseen = Self::default();
        for segment in &segments {
            foreseen.add(reader, segment, &newest)?;
        }
        Ok(foreseen)
    }

    fn add(
        &mut self,
        reader: &LogReader,
        segment: &SegmentInfo,
        newest: &HashMap<Box<[u8]>, Lsn>,
    ) -> Result<(), ReadError> {
        let (mut kept_records, mut dropped_records) = (0, 0);
        for record in reader.range(segment.base..segment.end) {
            let record = record?;
            let newest = record.key().and_then(|key| newest.get(key));
            match newest.is_none_or(|newest| *newest == record.lsn()) {
                true => kept_records += 1,
                false => {
                    dropped_records += 1;
                    self.payload_bytes += record.payload().len() as u64;
                }
            }
        }
        // A segment that loses nothing is left alone.
        if dropped_records > 0 {
            self.segments += 1;
            self.kept_records += kept_records;
            self.dropped_records += dropped_records;
        }
        Ok(())
    }

    fn text(&self) -> String {
        fields(&[
            ("segments to write anew", grouped(self.segments)),
            ("records to keep in them", grouped(self.kept_records)),
            ("records to take out", grouped(self.dropped_records)),
            ("bytes of their payload", grouped(self.payload_bytes)),
        ])
    }
}

/// The number of the newest record of each key in these segments.
fn newest_by_key(
    reader: &LogReader,
    segments: &[SegmentInfo],
) -> Result<HashMap<Box<[u8]>, Lsn>, ReadError> {
    let mut newest = HashMap::new();
    for segment in segments {
        for record in reader.range(segment.base..segment.end) {
            let record = record?;
            if let Some(key) = record.key() {
                newest.insert(Box::from(key), record.lsn());
            }
        }
    }
    Ok(newest)
}
