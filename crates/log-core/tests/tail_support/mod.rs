//! Records that say who they are, and a tail of them.
//!
//! A test record carries its lsn in the cell's second word, and a payload that
//! follows from a seed; so a reader can check each record by itself.

#![allow(dead_code, reason = "every test file uses its own part")]

use std::convert::Infallible;

use log_core::{
    CELL_HEADER_BYTES, CellState, Cursor, Lsn, Need, NextSegment, Region, Reservation, RollError,
    SegmentEnd, Span, Start, Tail, Word, cell_bytes,
};

/// A tail whose segments keep no meta.
pub(crate) type PlainTail = Tail<()>;

/// What a reader finds in a cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) lsn: Lsn,
    pub(crate) state: CellState,
    pub(crate) begins_batch: bool,
    pub(crate) ends_batch: bool,
    pub(crate) payload: Vec<u8>,
}

pub(crate) fn region(len_bytes: usize) -> Region {
    Region::heap(len_bytes).expect("memory for a test region")
}

pub(crate) fn tail(region_bytes: usize) -> PlainTail {
    Tail::new(region(region_bytes), Start::fresh(Lsn(0), 0), ())
}

pub(crate) fn need(payloads: &[usize]) -> Need {
    let bytes = payloads.iter().copied().map(cell_bytes).sum();
    Need::new(payloads.len() as u32, bytes).expect("a need")
}

/// A successor of `region_bytes` of fresh memory.
pub(crate) fn fresh(region_bytes: usize) -> Prepared {
    next(region(region_bytes))
}

pub(crate) type Prepared = Result<NextSegment<fn(SegmentEnd)>, Infallible>;

pub(crate) fn next(region: Region) -> Prepared {
    Ok(NextSegment {
        region,
        first_position: 0,
        open: |_end| (),
    })
}

/// The payload that belongs to a seed.
pub(crate) fn payload(seed: u64, payload_bytes: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut byte = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..payload_bytes).map(|_| byte()).collect()
}

/// Fills a place with one record or a batch, and publishes it.
pub(crate) fn fill<M>(mut place: Reservation<'_, M>, payloads: &[Vec<u8>]) -> Lsn {
    let base = place.base();
    let words = words_of(payloads);
    let cells = place.bytes_mut();
    let mut position = 0;
    for (index, (payload, word)) in payloads.iter().zip(&words).enumerate() {
        let cell = &mut cells[position..position + word.cell_bytes()];
        cell.fill(0);
        if index > 0 {
            cell[..8].copy_from_slice(&word.to_bits().to_le_bytes());
        }
        cell[8..16].copy_from_slice(&(base.0 + index as u64).to_le_bytes());
        cell[16..16 + payload.len()].copy_from_slice(payload);
        position += word.cell_bytes();
    }
    place.publish(words[0]);
    base
}

fn words_of(payloads: &[Vec<u8>]) -> Vec<Word> {
    let last = payloads.len() - 1;
    payloads
        .iter()
        .enumerate()
        .map(|(index, payload)| {
            Word::new(payload.len() as u32).with_batch(index == 0, index == last)
        })
        .collect()
}

/// Appends one record into the open segment, if it has room.
pub(crate) fn append(tail: &PlainTail, payload: &[u8]) -> Option<Lsn> {
    append_batch(tail, &[payload.to_vec()])
}

pub(crate) fn append_batch(tail: &PlainTail, payloads: &[Vec<u8>]) -> Option<Lsn> {
    let lengths: Vec<usize> = payloads.iter().map(Vec::len).collect();
    let place = tail.reserve(need(&lengths))?;
    Some(fill(place, payloads))
}

/// Appends one record, into a fresh successor if need be.
pub(crate) fn append_rolling(tail: &PlainTail, payload: &[u8], region_bytes: usize) -> Lsn {
    append_into(tail, payload, || fresh(region_bytes)).expect("a large enough successor")
}

pub(crate) fn append_into(
    tail: &PlainTail,
    payload: &[u8],
    prepare: impl FnOnce() -> Prepared,
) -> Result<Lsn, RollError<Infallible>> {
    let place = tail.reserve_or_roll(need(&[payload.len()]), prepare)?;
    Ok(fill(place, &[payload.to_vec()]))
}

/// The records of a span; checks that cells, numbers and spans agree.
pub(crate) fn records<M>(span: &Span<M>) -> Vec<Found> {
    let mut found = Vec::new();
    let (bytes, mut lsn) = (span.bytes(), span.base());
    let mut position = 0;
    while position < bytes.len() {
        let cell = &bytes[position..];
        let word = Word::from_bits(u64_at(cell, 0));
        position += word.cell_bytes();
        if !word.is_numbered() {
            continue;
        }
        if word.state() == CellState::Published {
            assert_eq!(u64_at(cell, 8), lsn.0, "INV-C1: the number is the record's");
        }
        let payload = &cell[CELL_HEADER_BYTES..][..word.payload_bytes()];
        found.push(Found {
            lsn,
            state: word.state(),
            begins_batch: word.begins_batch(),
            ends_batch: word.ends_batch(),
            payload: payload.to_vec(),
        });
        lsn = Lsn(lsn.0 + 1);
    }
    assert_eq!(position, bytes.len(), "a span is made of whole cells");
    assert_eq!(lsn, span.end(), "INV-C1: a span has all of its numbers");
    found
}

fn u64_at(cell: &[u8], from: usize) -> u64 {
    u64::from_le_bytes(cell[from..from + 8].try_into().expect("eight bytes"))
}

/// All that a cursor has before it.
pub(crate) fn read_on<M: Send + Sync>(tail: &Tail<M>, cursor: &mut Cursor<M>) -> Vec<Found> {
    let mut found = Vec::new();
    while let Some(span) = tail.next_span(cursor) {
        found.extend(records(&span));
    }
    found
}

pub(crate) fn read_from<M: Send + Sync>(tail: &Tail<M>, lsn: Lsn) -> Vec<Found> {
    let mut cursor = tail.cursor_at(lsn).expect("a cursor");
    read_on(tail, &mut cursor)
}

pub(crate) fn payloads(found: &[Found]) -> Vec<&[u8]> {
    found.iter().map(|found| found.payload.as_slice()).collect()
}
