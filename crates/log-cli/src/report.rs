//! What `stat` and `verify` both say, as text and as JSON.
//!
//! The JSON is a promise, kept in `docs/CLI.md`: fields are added, never
//! renamed and never given another meaning.

use std::path::Path;

use log_facade::{Damage, LogReader, SegmentInfo, SegmentState, TailState};
use serde_json::{Value, json};

/// A JSON document with its end of line.
pub(crate) fn document(value: &Value) -> String {
    format!("{value:#}\n")
}

pub(crate) fn path(path: &Path) -> Value {
    json!(path.to_string_lossy())
}

pub(crate) fn segment(segment: &SegmentInfo) -> Value {
    json!({
        "name": segment.name.to_string(),
        "file": path(&segment.path),
        "base": segment.base.0,
        "end": segment.end.0,
        "data_bytes": segment.data_bytes,
        "file_bytes": segment.file_bytes,
        "state": state(segment.state),
    })
}

pub(crate) fn state(state: SegmentState) -> &'static str {
    match state {
        SegmentState::Active => "active",
        SegmentState::Full => "full",
        SegmentState::Sealed => "sealed",
    }
}

pub(crate) fn damage(damage: &Damage) -> Value {
    json!({
        "file": path(&damage.path),
        "position": damage.position,
        "lsn": damage.lsn.map(|lsn| lsn.0),
        "lsn_end": damage.lost.as_ref().and_then(|lost| lost.end).map(|end| end.0),
        "bytes": damage.lost.as_ref().map(|lost| lost.bytes),
        "case": damage.row.to_string(),
        "reason": damage.reason,
    })
}

/// One damage: the file, the place, what it takes, the cause.
pub(crate) fn damage_line(damage: &Damage) -> String {
    let record = damage
        .lsn
        .map(|lsn| match damage.lost.as_ref().map(|lost| lost.end) {
            Some(Some(end)) if end <= lsn => format!(", at record {lsn}, no record is lost"),
            Some(Some(end)) if end.0 == lsn.0 + 1 => format!(", record {lsn} is lost"),
            Some(Some(end)) => format!(", records {lsn} to {} are lost", end.0 - 1),
            Some(None) => format!(", from record {lsn} on, nobody knows how many"),
            None => format!(", from record {lsn} on"),
        })
        .unwrap_or_default();
    format!(
        "{}: damaged at byte {}{record}: {} (recovery case {})\n",
        damage.path.display(),
        damage.position,
        damage.reason,
        damage.row
    )
}

/// How a reader found the end of the log. It cuts nothing: the next writer
/// does.
pub(crate) fn tail(reader: &LogReader) -> Value {
    match &reader.report().tail {
        TailState::Clean => json!({ "state": "clean" }),
        TailState::Truncated {
            path: file,
            position,
            lsn,
            bytes,
            row,
            ..
        } => json!({
            "state": "torn",
            "file": path(file),
            "position": position,
            "lsn": lsn.0,
            "bytes": bytes,
            "case": row.to_string(),
        }),
    }
}

pub(crate) fn tail_text(reader: &LogReader) -> String {
    match &reader.report().tail {
        TailState::Clean => "clean".to_owned(),
        TailState::Truncated {
            path,
            position,
            bytes,
            row,
            ..
        } => format!(
            "torn: {bytes} bytes from byte {position} of {} are not whole records; {} (recovery case {row})",
            path.display(),
            match reader.is_being_written() {
                true => "they are being written",
                false => "the next writer cuts them off",
            }
        ),
    }
}
