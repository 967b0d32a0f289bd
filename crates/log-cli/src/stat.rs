//! `strata stat`: what is in a log.

use log_facade::{LogReader, SegmentInfo};
use serde_json::{Value, json};

use crate::args::StatArgs;
use crate::failure::{Failure, Verdict};
use crate::output::{self, fields, grouped};
use crate::report;

pub(crate) fn run(args: &StatArgs) -> Result<Verdict, Failure> {
    let reader = LogReader::open(&args.log).map_err(|error| Failure::open(&args.log, &error))?;
    let found = Found {
        log: args.log.display().to_string(),
        segments: reader.segments(),
        reader,
    };
    output::print(&match args.json {
        true => report::document(&found.json()),
        false => found.text(),
    })?;
    Ok(Verdict::Fine)
}

struct Found {
    log: String,
    segments: Vec<SegmentInfo>,
    reader: LogReader,
}

impl Found {
    fn records(&self) -> u64 {
        self.reader
            .next_lsn()
            .0
            .saturating_sub(self.reader.first_lsn().0)
    }

    fn data_bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.data_bytes).sum()
    }

    fn file_bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.file_bytes).sum()
    }

    fn json(&self) -> Value {
        let segments: Vec<_> = self.segments.iter().map(report::segment).collect();
        json!({
            "log": self.log,
            "first_lsn": self.reader.first_lsn().0,
            "next_lsn": self.reader.next_lsn().0,
            "records": self.records(),
            "data_bytes": self.data_bytes(),
            "file_bytes": self.file_bytes(),
            "writer_active": self.reader.is_being_written(),
            "tail": report::tail(&self.reader),
            "segments": segments,
            "ignored_files": self.reader.report().ignored_files,
        })
    }

    fn text(&self) -> String {
        let ignored = &self.reader.report().ignored_files;
        let header = fields(&[
            ("log", self.log.clone()),
            ("records", grouped(self.records())),
            ("first lsn", self.reader.first_lsn().to_string()),
            ("next lsn", self.reader.next_lsn().to_string()),
            ("data bytes", grouped(self.data_bytes())),
            ("file bytes", grouped(self.file_bytes())),
            ("segments", grouped(self.segments.len() as u64)),
            ("tail", report::tail_text(&self.reader)),
            (
                "writer",
                if self.reader.is_being_written() {
                    "active"
                } else {
                    "none"
                }
                .to_owned(),
            ),
            (
                "ignored files",
                if ignored.is_empty() {
                    "none".to_owned()
                } else {
                    ignored.join(", ")
                },
            ),
        ]);
        let rows = self.segments.iter().map(row);
        let table: String = std::iter::once(HEADINGS.map(str::to_owned))
            .chain(rows)
            .map(line)
            .collect();
        format!("{header}\n{table}")
    }
}

const HEADINGS: [&str; 6] = [
    "segment",
    "state",
    "base",
    "end",
    "data bytes",
    "file bytes",
];

fn row(segment: &SegmentInfo) -> [String; 6] {
    [
        segment.name.to_string(),
        report::state(segment.state).to_owned(),
        segment.base.to_string(),
        segment.end.to_string(),
        grouped(segment.data_bytes),
        grouped(segment.file_bytes),
    ]
}

/// Words to the left, numbers to the right.
fn line([segment, state, base, end, data_bytes, file_bytes]: [String; 6]) -> String {
    format!("{segment:<35} {state:<6} {base:>12} {end:>12} {data_bytes:>14} {file_bytes:>14}\n")
}
