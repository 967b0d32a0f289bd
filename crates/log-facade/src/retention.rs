//! Which segments are old enough to go.
//!
//! Whole segments go, from the front, never the active one (`INV-F2`), and
//! none that a pin needs. A bound says what stays at least: the newest so many
//! bytes or records stay, so up to a segment more than that is there.

use crate::engine::{self, Engine};
use crate::error::HousekeepingCause;
use crate::policy::Retention;
use crate::shared::Shared;
use crate::{Lsn, ReadError, SegmentInfo, SegmentState, Timestamp};

/// Drops what the bounds by bytes and by records let go. Returns how many
/// segments.
pub(crate) fn apply_sizes(shared: &Shared) -> Result<usize, engine::CommitError> {
    let retention = shared.policies.retention;
    drop_chosen(shared, |segments, next| {
        by_bytes(&retention, segments).max(by_records(&retention, next))
    })
}

/// Drops what is older than `cutoff` as a whole. Returns how many segments.
pub(crate) fn apply_age(shared: &Shared, cutoff: Timestamp) -> Result<usize, HousekeepingCause> {
    let engine: &dyn Engine = shared.engine.as_ref();
    let young = engine.lsn_at_or_after(cutoff)?;
    let segments = engine.segments();
    let candidates = sealed(&segments);
    let whole = whole_before(candidates, young.unwrap_or(Lsn(u64::MAX)));
    let candidates = candidates.iter().filter(|segment| segment.end <= whole);
    // Records without a timestamp count as old as the next one that has one:
    // those at the end may be as young as that.
    for segment in candidates.rev() {
        if has_stamped_end(engine, segment)? {
            return Ok(drop_before(shared, segment.end)?);
        }
    }
    Ok(0)
}

fn has_stamped_end(engine: &dyn Engine, segment: &SegmentInfo) -> Result<bool, ReadError> {
    let last = engine.records(segment.base..segment.end).next_back();
    let last = last.transpose()?;
    Ok(last.is_some_and(|record| record.timestamp().is_some()))
}

/// Drops the segments in front of `lsn`, as far as pins allow. Returns how many.
pub(crate) fn drop_before(shared: &Shared, lsn: Lsn) -> Result<usize, engine::CommitError> {
    drop_chosen(shared, |_, _| lsn)
}

/// Drops what lies in front of the record that `choose` answers.
fn drop_chosen(
    shared: &Shared,
    choose: impl FnOnce(&[SegmentInfo], Lsn) -> Lsn,
) -> Result<usize, engine::CommitError> {
    let engine: &dyn Engine = shared.engine.as_ref();
    let segments = engine.segments();
    let next = engine.next_lsn();
    let kept = shared.cursors.lowest_pin(&segments, next);
    let chosen = choose(&segments, next).min(kept.unwrap_or(Lsn(u64::MAX)));
    let segments = sealed(&segments);
    if segments.first().is_none_or(|oldest| oldest.end > chosen) {
        return Ok(0);
    }
    let dropped = shared.floor.drop_with(
        |limit| whole_before(segments, chosen.min(limit)),
        |lsn| engine.drop_before(lsn),
    )?;
    shared.health.segments_dropped.add(dropped as u64);
    shared.meters.dropped(dropped as u64);
    if dropped > 0 {
        tracing::info!(segments = dropped, first_lsn = %engine.first_lsn(), "segments dropped");
    }
    Ok(dropped)
}

/// Those that may go: all in front of the first that still takes or waits for
/// records to be written.
fn sealed(segments: &[SegmentInfo]) -> &[SegmentInfo] {
    let is_open = |segment: &SegmentInfo| segment.state != SegmentState::Sealed;
    let open = segments.iter().position(is_open);
    &segments[..open.unwrap_or(segments.len())]
}

/// The end of the last segment that lies in front of `lsn` as a whole.
fn whole_before(segments: &[SegmentInfo], lsn: Lsn) -> Lsn {
    let gone = segments.iter().take_while(|segment| segment.end <= lsn);
    gone.last().map_or(Lsn::ZERO, |segment| segment.end)
}

/// As long as the others have as many bytes as are to stay, the first goes.
fn by_bytes(retention: &Retention, segments: &[SegmentInfo]) -> Lsn {
    let Some(stay) = retention.bytes else {
        return Lsn::ZERO;
    };
    let mut rest: u64 = segments.iter().map(|segment| segment.data_bytes).sum();
    let mut end = Lsn::ZERO;
    for segment in segments {
        rest -= segment.data_bytes;
        if rest < stay {
            break;
        }
        end = segment.end;
    }
    end
}

fn by_records(retention: &Retention, next: Lsn) -> Lsn {
    let stay = retention.records.unwrap_or(u64::MAX);
    Lsn(next.0.saturating_sub(stay))
}
