//! The newest segment: the only one that is appended to, and may be torn.

use std::io;

use log_core::{Lsn, Region};

use super::beyond::{Beyond, beyond};
use super::chain::Link;
use super::scan::{Prefix, prefix_into};
use super::table::{Facts, Row, Verdict, decide};
use super::{Active, refusal};
use crate::error::{OpenError, READ};
use crate::format::{FIRST_POSITION, FrameKey};
use crate::report::TailState;
use crate::segment::End;
use crate::storage::Storage;

/// What the newest segment's file has in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Newest {
    pub whole: Prefix,
    behind: Beyond,
    /// How long its file is, if that is less than it was made.
    short_bytes: Option<u64>,
}

impl Newest {
    /// Reads until nothing moves: a writer may have gone on between the look at
    /// its frames and the one behind them, and what it put there is no damage.
    /// Also returns the file as it was found.
    pub(super) fn read_steady(storage: &dyn Storage, link: &Link) -> io::Result<(Self, Region)> {
        let mut seen = Self::read(storage, link)?;
        while seen.0.broken_promise().is_some() {
            let again = Self::read(storage, link)?;
            if again.0.whole == seen.0.whole {
                return Ok(again);
            }
            seen = again;
        }
        Ok(seen)
    }

    fn read(storage: &dyn Storage, link: &Link) -> io::Result<(Self, Region)> {
        let header = link.header;
        let file = storage.open(&link.name.to_string(), false)?;
        let mut region = region_for(link)?;
        let key = FrameKey::new(header.salt);
        // All of it at once, because reading makes data of holes.
        let end = region.len_bytes() as u64;
        let data = file.data_ranges(FIRST_POSITION..end)?;
        let whole = prefix_into(region.bytes_mut(), file.as_ref(), &data, &key, header.base)?;
        let rest = (whole.end_position, end);
        let found = Self {
            whole,
            behind: beyond(file.as_ref(), &data, &key, &header, rest)?,
            short_bytes: (link.file_bytes < header.capacity_bytes).then_some(link.file_bytes),
        };
        Ok((found, region))
    }

    /// What says that more was durable than there is, and where.
    pub(super) fn broken_promise(&self) -> Option<(Lsn, u64)> {
        let claim = self.behind.claim;
        claim.filter(|(claim, _)| *claim > self.whole.end && !self.whole.sealed)
    }

    /// Whether it has any frames: then its predecessor's seal was durable.
    pub(super) fn is_used(&self) -> bool {
        self.whole.end_position > FIRST_POSITION || self.behind.debris_end.is_some()
    }

    pub(super) fn judge(&self) -> (Row, Verdict) {
        decide(Facts {
            newest: true,
            header: true,
            sealed: self.whole.sealed,
            claims_kept: self.broken_promise().is_none(),
            debris: self.debris_end().is_some(),
            successor_used: false,
        })
    }

    fn debris_end(&self) -> Option<u64> {
        self.behind.debris_end.or(self.short_bytes)
    }

    pub(super) fn end(&self) -> End {
        End {
            lsn: self.whole.end,
            position: self.whole.end_position,
        }
    }
}

/// The newest segment, and whether it has any frames.
pub(super) fn examine_newest(
    storage: &dyn Storage,
    link: &Link,
) -> Result<(Active, bool), OpenError> {
    let path = storage.path(&link.name.to_string());
    let found = Newest::read_steady(storage, link);
    let (found, region) = found.map_err(|error| OpenError::io(READ, &path, error))?;
    let (whole, (row, verdict)) = (&found.whole, found.judge());
    let tail = match verdict {
        Verdict::Resume => TailState::Clean,
        Verdict::Cut => TailState::Truncated {
            path,
            position: whole.end_position,
            lsn: whole.end,
            bytes: found
                .debris_end()
                .unwrap_or_default()
                .saturating_sub(whole.end_position),
            proven_end: whole.proven_end,
            row,
        },
        Verdict::Refuse(_) | Verdict::Keep | Verdict::Seal => {
            let said = found.broken_promise().map(|(claim, position)| {
                format!(
                    "; the mark at byte {position} says that records below {claim} were durable"
                )
            });
            let said = said.unwrap_or_default();
            return Err(refusal(&path, whole, row, verdict, said));
        }
    };
    let active = Active {
        header: link.header,
        region,
        file_bytes: link.file_bytes,
        end: found.end(),
        proven_end: whole.proven_end,
        proven_position: whole.proven_position,
        tail,
    };
    Ok((active, found.is_used()))
}

/// Memory that can go on as the segment's region. It is not touched yet.
fn region_for(link: &Link) -> io::Result<Region> {
    let region = usize::try_from(link.records_end())
        .ok()
        .and_then(Region::heap);
    region.ok_or_else(|| io::ErrorKind::OutOfMemory.into())
}
