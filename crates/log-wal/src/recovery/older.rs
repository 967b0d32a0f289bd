//! A segment that has a successor, whose header says where it ends.

use std::io;

use super::chain::Link;
use super::check::Job;
use super::refusal;
use super::scan::Prefix;
use super::table::{Facts, Row, Verdict, decide};
use crate::error::{OpenError, READ};
use crate::format::Header;
use crate::report::SealedSegment;
use crate::segment::End;
use crate::storage::Storage;

/// A segment that has a successor.
#[derive(Clone, Copy, Debug)]
pub(super) struct Older<'a> {
    pub link: &'a Link,
    pub successor: &'a Header,
    /// Whether anything was put into the successor, or behind it.
    pub successor_used: bool,
}

impl Older<'_> {
    /// By its own seal, or by the word of a truncation, which stands for one.
    pub(super) fn is_sealed(&self) -> bool {
        self.link.has_seal || self.successor.truncates
    }

    /// Where it ends, says its successor, which names it.
    pub(super) fn end(&self) -> End {
        let said = self.successor.predecessor;
        End {
            lsn: self.successor.base,
            position: said.map_or(0, |before| before.end_position),
        }
    }

    pub(super) fn job(&self) -> Job {
        Job {
            name: self.link.name,
            salt: self.link.header.salt,
            base: self.link.header.base,
            end: self.end(),
        }
    }

    /// Whether its whole frames go to its end. By frames, because a truncation
    /// may have cut a batch.
    pub(super) fn is_whole(&self, whole: &Prefix) -> bool {
        whole.frames_end == self.end()
    }

    /// Without its whole frames it is judged by its seal.
    pub(super) fn judge(&self, whole: Option<&Prefix>) -> (Row, Verdict) {
        decide(Facts {
            newest: false,
            header: true,
            sealed: self.is_sealed(),
            claims_kept: whole.is_none_or(|whole| self.is_whole(whole)),
            debris: false,
            successor_used: self.successor_used,
        })
    }
}

/// Judges a segment of which the whole frames are known or not needed.
pub(super) fn examine_older(
    storage: &dyn Storage,
    older: &Older<'_>,
    whole: Option<io::Result<Prefix>>,
) -> Result<SealedSegment, OpenError> {
    let (link, end) = (older.link, older.end());
    let path = storage.path(&link.name.to_string());
    let whole = whole.transpose();
    let whole = whole.map_err(|error| OpenError::io(READ, &path, error))?;
    let (row, verdict) = older.judge(whole.as_ref());
    if !matches!(verdict, Verdict::Keep | Verdict::Seal) {
        let whole = whole.unwrap_or_else(|| Prefix::empty(link.header.base));
        return Err(refusal(&path, &whole, row, verdict, String::new()));
    }
    Ok(SealedSegment {
        name: link.name,
        path,
        salt: link.header.salt,
        log_uuid: link.header.log_uuid,
        base: link.header.base,
        end: end.lsn,
        end_position: end.position,
        file_bytes: link.file_bytes,
    })
}
