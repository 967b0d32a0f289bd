//! Every sealed segment of a log, in order: a value that never changes.
//!
//! Segments come at the end, one by one, and go in front, some at a time. They
//! lie in blocks that successive directories share, so that another directory
//! costs a block and not a copy of a hundred thousand.

use std::sync::Arc;

use log_wal::{Lsn, SealedSegment};

use crate::segment::Segment;

/// How many segments a block has at most.
const BLOCK_SEGMENTS: usize = 256;

/// Sealed segments without a gap: each begins where the one before ends
/// (`INV-M4`).
#[derive(Clone, Debug)]
pub(crate) struct Directory {
    /// None of them is empty.
    blocks: Vec<Arc<Vec<Arc<Segment>>>>,
    /// Where the next segment begins.
    end: Lsn,
    /// The id of the last segment that there was.
    last_id: u64,
}

impl Directory {
    /// One without segments, to which those from record `end` on are added.
    pub(crate) fn empty_at(end: Lsn) -> Self {
        Self {
            blocks: Vec::new(),
            end,
            last_id: 0,
        }
    }

    /// One with these segments more, of which it may have had the first ones;
    /// `None` if they do not join.
    pub(crate) fn extended_by(&self, sealed: Vec<SealedSegment>) -> Option<Self> {
        let news = sealed.into_iter().filter(|it| it.name.id > self.last_id);
        self.extended(news.map(Segment::new).map(Arc::new).collect())
    }

    fn extended(&self, segments: Vec<Arc<Segment>>) -> Option<Self> {
        let mut extended = self.clone();
        for segment in segments {
            extended.push(segment)?;
        }
        Some(extended)
    }

    fn push(&mut self, segment: Arc<Segment>) -> Option<()> {
        let is_later = segment.id() > self.last_id && segment.end() >= segment.base();
        if !is_later || segment.base() != self.end {
            return None;
        }
        self.end = segment.end();
        self.last_id = segment.id();
        match self.blocks.last_mut() {
            Some(block) if block.len() < BLOCK_SEGMENTS => Arc::make_mut(block).push(segment),
            _ => self.blocks.push(Arc::new(vec![segment])),
        }
        Some(())
    }

    /// One with exactly these segments, which take the place of those that this
    /// one has; a segment that is in both stays the same. `None` if they do not
    /// join.
    pub(crate) fn replaced_by(&self, first: Lsn, sealed: Vec<SealedSegment>) -> Option<Self> {
        let first = sealed.first().map_or(first, |segment| segment.base);
        let segments = sealed.into_iter().map(|sealed| self.kept_or_new(sealed));
        Self::empty_at(first).extended(segments.collect())
    }

    /// The directory with this segment as one that nobody has looked at yet.
    /// `None` if it has no such segment.
    pub(crate) fn renewed(&self, sealed: &SealedSegment) -> Option<Self> {
        let id = sealed.name.id;
        let is_before =
            |block: &Arc<Vec<Arc<Segment>>>| block.last().is_some_and(|last| last.id() < id);
        let in_block = self.blocks.partition_point(is_before);
        let mut renewed = self.clone();
        let block = renewed.blocks.get_mut(in_block)?;
        let at = block
            .binary_search_by_key(&id, |segment| segment.id())
            .ok()?;
        let place = Arc::make_mut(block).get_mut(at)?;
        *place = Arc::new(Segment::new(sealed.clone()));
        Some(renewed)
    }

    fn kept_or_new(&self, sealed: SealedSegment) -> Arc<Segment> {
        match self.with_id(sealed.name.id) {
            // Not if it was cut since.
            Some(segment) if segment.is(&sealed) => Arc::clone(segment),
            _ => Arc::new(Segment::new(sealed)),
        }
    }

    /// One without the segments that end at or before `lsn`.
    pub(crate) fn without_before(&self, lsn: Lsn) -> Self {
        let mut blocks = self.blocks[self.block_of(lsn)..].to_vec();
        if let Some(block) = blocks.first_mut() {
            let dropped = block.partition_point(|segment| segment.end() <= lsn);
            if dropped > 0 {
                *block = Arc::new(block[dropped..].to_vec());
            }
        }
        Self { blocks, ..*self }
    }

    /// The block that has record `lsn`, if one does.
    fn block_of(&self, lsn: Lsn) -> usize {
        self.blocks
            .partition_point(|block| block.last().is_some_and(|last| last.end() <= lsn))
    }

    /// The segment that has record `lsn`.
    pub(crate) fn find(&self, lsn: Lsn) -> Option<&Arc<Segment>> {
        let block = self.blocks.get(self.block_of(lsn))?;
        // One without records ends where it begins: never the answer.
        let at = block.partition_point(|segment| segment.end() <= lsn);
        block.get(at).filter(|segment| segment.base() <= lsn)
    }

    /// The segments that end behind record `lsn`.
    pub(crate) fn from(&self, lsn: Lsn) -> impl Iterator<Item = &Arc<Segment>> {
        let blocks = self.blocks.iter().skip(self.block_of(lsn));
        blocks
            .flat_map(|block| block.iter())
            .skip_while(move |segment| segment.end() <= lsn)
    }

    /// The segments that end at or before `lsn`.
    pub(crate) fn before(&self, lsn: Lsn) -> impl Iterator<Item = &Arc<Segment>> {
        self.iter().take_while(move |segment| segment.end() <= lsn)
    }

    /// Every segment.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Segment>> {
        self.blocks.iter().flat_map(|block| block.iter())
    }

    /// Whether this very segment is one of them, and not another of its name.
    pub(crate) fn has(&self, segment: &Arc<Segment>) -> bool {
        let found = self.with_id(segment.id());
        found.is_some_and(|found| Arc::ptr_eq(found, segment))
    }

    fn with_id(&self, id: u64) -> Option<&Arc<Segment>> {
        let is_before =
            |block: &Arc<Vec<Arc<Segment>>>| block.last().is_some_and(|last| last.id() < id);
        let block = self.blocks.get(self.blocks.partition_point(is_before))?;
        let at = block.binary_search_by_key(&id, |segment| segment.id());
        at.ok().and_then(|at| block.get(at))
    }

    /// Where the next segment begins.
    pub(crate) fn end(&self) -> Lsn {
        self.end
    }
}

/// Segments that have no files, for the tests of this crate's parts.
#[cfg(test)]
pub(crate) mod made {
    use super::*;
    use log_wal::format::SegmentName;

    /// Segments with these ends, and ids from `first_id` on.
    pub(crate) fn sealed(first_id: u64, base: u64, ends: &[u64]) -> Vec<SealedSegment> {
        let bases = std::iter::once(&base).chain(ends);
        let segment = |((base, end), id): ((&u64, &u64), u64)| SealedSegment {
            name: SegmentName {
                base: Lsn(*base),
                id,
            },
            path: format!("segment {id}").into(),
            salt: id,
            log_uuid: [0; 16],
            base: Lsn(*base),
            end: Lsn(*end),
            end_position: 8192,
            file_bytes: 8192,
        };
        bases.zip(ends).zip(first_id..).map(segment).collect()
    }
}

#[cfg(all(test, not(log_loom)))]
mod tests {
    use super::made::sealed;
    use super::*;

    fn directory(base: u64, ends: &[u64]) -> Directory {
        let empty = Directory::empty_at(Lsn(base));
        empty.extended_by(sealed(1, base, ends)).unwrap()
    }

    fn found(directory: &Directory, lsn: u64) -> Option<u64> {
        directory.find(Lsn(lsn)).map(|segment| segment.id())
    }

    #[test]
    fn every_lsn_is_in_the_one_segment_that_has_it() {
        let directory = directory(10, &[12, 12, 12, 20]);
        let expected = [
            (9, None),
            (10, Some(1)),
            (11, Some(1)),
            (12, Some(4)),
            (19, Some(4)),
        ];
        for (lsn, segment) in expected {
            assert_eq!(found(&directory, lsn), segment, "INV-M4: record {lsn}");
        }
        assert_eq!(found(&directory, 20), None);
        assert_eq!(found(&Directory::empty_at(Lsn::ZERO), 0), None);
    }

    #[test]
    fn segments_that_do_not_join_are_not_taken() {
        let empty = Directory::empty_at(Lsn::ZERO);
        let whole = sealed(1, 0, &[10, 20, 30]);
        let [one, two, three] = &whole[..] else {
            unreachable!("three were made")
        };
        assert!(empty.extended_by(whole.clone()).is_some());
        let refused = [
            vec![one.clone(), three.clone()],
            vec![one.clone(), one.clone()],
            vec![two.clone(), one.clone()],
            vec![two.clone()],
        ];
        for sealed in refused {
            assert!(
                empty.extended_by(sealed.clone()).is_none(),
                "INV-M4: {sealed:?}"
            );
        }
        let first = empty.extended_by(vec![one.clone()]).unwrap();
        assert!(first.extended_by(vec![three.clone()]).is_none(), "a gap");
        let again = first.extended_by(whole.clone()).unwrap();
        assert_eq!(again.iter().count(), 3, "what it had is not taken twice");
    }

    #[test]
    fn a_segment_without_records_is_taken_once() {
        let first = directory(0, &[10, 10]);
        let same = first.extended_by(sealed(2, 10, &[10])).unwrap();
        assert_eq!(same.iter().count(), 2);
        let none = same.without_before(Lsn(10));
        assert_eq!(none.iter().count(), 0);
        let next = none.extended_by(sealed(2, 10, &[10, 12])).unwrap();
        assert_eq!(next.iter().count(), 1, "not what was dropped either");
    }

    #[test]
    fn many_blocks_answer_as_one_list_would_whatever_was_dropped() {
        let ends: Vec<u64> = (1..=1000).map(|at| at * 3).collect();
        let whole = directory(0, &ends);
        assert_eq!(whole.iter().count(), 1000);
        for dropped in [0, 1, 255, 256, 257, 700, 999, 1000] {
            let lsn = Lsn(dropped * 3 + 2);
            let rest = whole.without_before(lsn);
            assert_eq!(whole.before(lsn).count() as u64, dropped.min(1000));
            assert_eq!(rest.iter().count() as u64, 1000 - dropped.min(1000));
            for lsn in 0..3000 {
                let expected = (lsn >= dropped * 3).then_some(lsn / 3 + 1);
                assert_eq!(
                    found(&rest, lsn),
                    expected,
                    "{dropped} dropped, record {lsn}"
                );
            }
            assert_eq!(rest.end(), Lsn(3000), "the next one joins all the same");
            let next = rest.extended_by(sealed(1001, 3000, &[3003])).unwrap();
            assert_eq!(found(&next, 3002), Some(1001));
            let behind: Vec<_> = next.from(Lsn(2994)).map(|segment| segment.id()).collect();
            let expected = [999, 1000, 1001].into_iter().filter(|id| *id > dropped);
            assert_eq!(behind, expected.collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_segment_stays_itself_from_one_directory_to_the_next() {
        let first = directory(0, &[10, 20]);
        let second = first.extended_by(sealed(3, 20, &[30])).unwrap();
        for (one, next) in first.iter().zip(second.iter()) {
            assert!(Arc::ptr_eq(one, next), "with its mapping");
            assert!(second.has(one));
        }
        let cut = second
            .replaced_by(Lsn::ZERO, sealed(1, 0, &[10, 15]))
            .unwrap();
        let (old, new) = (second.find(Lsn(12)).unwrap(), cut.find(Lsn(12)).unwrap());
        assert!(!Arc::ptr_eq(old, new), "one that was cut is another");
        assert!(!cut.has(old));
        assert!(Arc::ptr_eq(
            second.find(Lsn(2)).unwrap(),
            cut.find(Lsn(2)).unwrap()
        ));
    }
}
