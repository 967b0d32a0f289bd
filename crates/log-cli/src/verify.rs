//! `strata verify`: is every frame what was written?

use log_facade::{IndexCheck, IndexState, LogReader, OpenError, Salvage, VerifyReport, engine};
use serde_json::{Value, json};

use crate::args::VerifyArgs;
use crate::failure::{Failure, Verdict};
use crate::output::{self, count};
use crate::report;

pub(crate) fn run(args: &VerifyArgs) -> Result<Verdict, Failure> {
    let found = match LogReader::open(&args.log) {
        Ok(reader) => Found {
            report: reader.verify(),
            reader: Some(reader),
        },
        // Damage that keeps a log from being opened is a finding too, and so is
        // all that there is behind it.
        Err(refused @ OpenError::Engine(engine::OpenError::Damaged(_))) => {
            let salvage = Salvage::open(&args.log);
            let salvage = salvage.map_err(|error| Failure::open(&args.log, &error.into()))?;
            if salvage.report().damage.is_empty() {
                return Err(Failure::open(&args.log, &refused));
            }
            Found::unopened(&salvage)
        }
        Err(error) => return Err(Failure::open(&args.log, &error)),
    };
    let log = args.log.display().to_string();
    output::print(&match args.json {
        true => report::document(&found.json(&log)),
        false => found.text(&log),
    })?;
    Ok(match found.report.damage.is_empty() {
        true => Verdict::Fine,
        false => Verdict::DamageFound,
    })
}

struct Found {
    report: VerifyReport,
    /// `None` if the log could not be opened. Then its indexes were not checked.
    reader: Option<LogReader>,
}

impl Found {
    fn unopened(salvage: &Salvage) -> Self {
        Self {
            report: salvage.report().clone(),
            reader: None,
        }
    }

    fn json(&self, log: &str) -> Value {
        let damage: Vec<_> = self.report.damage.iter().map(report::damage).collect();
        let indexes: Vec<_> = self.report.indexes.iter().map(index).collect();
        let time_indexes: Vec<_> = self.report.time_indexes.iter().map(index).collect();
        json!({
            "log": log,
            "sound": damage.is_empty(),
            "complete": true,
            "opens": self.reader.is_some(),
            "segments": self.report.segments,
            "records": self.report.records,
            "payload_bytes": self.report.payload_bytes,
            "voids": self.report.voids,
            "writer_active": self.reader.as_ref().map(LogReader::is_being_written),
            "tail": self.reader.as_ref().map(report::tail),
            "damage": damage,
            "indexes": indexes,
            "time_indexes": time_indexes,
        })
    }

    fn text(&self, log: &str) -> String {
        let damage: String = self.report.damage.iter().map(report::damage_line).collect();
        format!("{damage}{log}: {}\n", self.conclusion())
    }

    fn conclusion(&self) -> String {
        let verdict = match self.report.damage.len() {
            0 => "sound".to_owned(),
            1 => "damaged in one place".to_owned(),
            places => format!("damaged in {places} places"),
        };
        let found = format!(
            "{verdict}: {} in {}, {} of payload{}{}",
            count(self.report.records, "whole record"),
            count(self.report.segments as u64, "segment"),
            count(self.report.payload_bytes, "byte"),
            self.voids(),
            self.indexes(),
        );
        match &self.reader {
            Some(reader) => format!("{found}; tail {}", report::tail_text(reader)),
            None => format!(
                "{found}; it does not open: restore the file from a copy, or see `strata recover`"
            ),
        }
    }

    /// Nothing that was lost.
    fn voids(&self) -> String {
        match self.report.voids {
            0 => String::new(),
            voids => format!("; {} without a record", count(voids, "number")),
        }
    }

    /// Indexes are derived: one that cannot be used costs time, not data.
    fn indexes(&self) -> String {
        let all = self.report.indexes.iter().chain(&self.report.time_indexes);
        let (sound, unsound): (Vec<_>, Vec<_>) = all.partition(|index| is_sound(index));
        let all = sound.len() + unsound.len();
        match unsound.as_slice() {
            [] if all == 0 => String::new(),
            [] => format!("; {} sound", count(all as u64, "index file")),
            [first, ..] => format!(
                "; {} of {} to be built again, such as {}: {}",
                unsound.len(),
                count(all as u64, "index file"),
                first.path.display(),
                first.state
            ),
        }
    }
}

fn is_sound(index: &IndexCheck) -> bool {
    matches!(index.state, IndexState::Sound { .. })
}

fn index(index: &IndexCheck) -> Value {
    json!({
        "file": report::path(&index.path),
        "sound": is_sound(index),
        "state": index.state.to_string(),
    })
}
