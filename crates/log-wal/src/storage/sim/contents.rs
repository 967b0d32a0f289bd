//! One file: what the operating system shows of it, and what the medium holds.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::power_loss::{Survival, Unsynced, What};

/// The unit in which a medium writes: it holds the old bytes or the new ones,
/// unless it is told to leave garbage.
pub const SECTOR_BYTES: usize = 512;

/// Copied only when one of the copies changes, so that many outcomes of one
/// power loss share what they have in common.
#[derive(Clone, Debug, Default)]
pub(super) struct Contents {
    shown: Arc<Vec<u8>>,
    held: Arc<Vec<u8>>,
    /// What each sector was written to since the last sync, oldest first.
    images: BTreeMap<usize, Vec<Image>>,
    /// Every length since the last sync, behind the one that the medium holds.
    lengths: Vec<Length>,
}

#[derive(Clone, Debug)]
struct Image {
    bytes: [u8; SECTOR_BYTES],
    step: u64,
}

#[derive(Clone, Copy, Debug)]
struct Length {
    bytes: usize,
    step: u64,
}

impl Contents {
    /// A file that is on the medium as it is shown.
    pub(super) fn synced(bytes: Vec<u8>) -> Self {
        let bytes = Arc::new(bytes);
        Self {
            shown: Arc::clone(&bytes),
            held: bytes,
            ..Self::default()
        }
    }

    /// A new file of zeros, which are written in pieces.
    pub(super) fn zeros(len_bytes: usize, step: u64) -> Self {
        let mut contents = Self::default();
        for bytes in [len_bytes / 2, len_bytes] {
            contents.set_len(bytes, step);
        }
        contents
    }

    pub(super) fn shown(&self) -> &[u8] {
        &self.shown
    }

    pub(super) fn write(&mut self, position: usize, bytes: &[u8], step: u64) {
        if bytes.is_empty() {
            return;
        }
        let end = position + bytes.len();
        if end > self.shown.len() {
            self.set_len(end, step);
        }
        Arc::make_mut(&mut self.shown)[position..end].copy_from_slice(bytes);
        for sector in position / SECTOR_BYTES..end.div_ceil(SECTOR_BYTES) {
            let image = Image {
                bytes: sector_of(&self.shown, sector),
                step,
            };
            self.images.entry(sector).or_default().push(image);
        }
    }

    pub(super) fn set_len(&mut self, bytes: usize, step: u64) {
        Arc::make_mut(&mut self.shown).resize(bytes, 0);
        self.lengths.push(Length { bytes, step });
    }

    /// Brings what lies in front of `end` to the medium, and the length if
    /// that is all of the file, or more than the medium has of it.
    pub(super) fn sync_front(&mut self, end: usize) {
        let lengths = match end >= self.shown.len() || end > self.held.len() {
            true => std::mem::take(&mut self.lengths),
            false => Vec::new(),
        };
        let images = self.take_images(end);
        if lengths.is_empty() && images.is_empty() {
            return;
        }
        let held = Arc::make_mut(&mut self.held);
        for length in lengths {
            // Each in turn: what a shorter one cut off comes back as zeros.
            held.resize(length.bytes, 0);
        }
        for (sector, images) in images {
            if let Some(newest) = images.last() {
                put_sector(held, sector, &newest.bytes);
            }
        }
    }

    /// Forgets that there is anything in front of `end` to bring to the
    /// medium, and goes on showing it.
    pub(super) fn lose_dirty_pages(&mut self, end: usize) {
        self.take_images(end);
    }

    /// The images of the sectors that have a byte in front of `end`.
    fn take_images(&mut self, end: usize) -> BTreeMap<usize, Vec<Image>> {
        let behind = self.images.split_off(&end.div_ceil(SECTOR_BYTES));
        std::mem::replace(&mut self.images, behind)
    }

    /// Damages shown and held bytes alike.
    pub(super) fn damage(&mut self, damage: impl Fn(&mut [u8])) {
        damage(Arc::make_mut(&mut self.shown).as_mut_slice());
        damage(Arc::make_mut(&mut self.held).as_mut_slice());
        for (sector, images) in &mut self.images {
            // What is still to be written was damaged on its way.
            for image in images {
                image.bytes = sector_of(&self.shown, *sector);
            }
        }
    }

    /// What is found when the power is back.
    pub(super) fn after_power_loss(
        &self,
        file: &str,
        now: u64,
        garbage: bool,
        survival: &mut dyn Survival,
    ) -> Self {
        if self.lengths.is_empty() && self.images.is_empty() {
            return Self::synced_arc(Arc::clone(&self.held));
        }
        let mut found = self.held.as_ref().clone();
        let chosen = choose_length(&self.lengths, file, now, survival);
        for length in &self.lengths[..chosen] {
            found.resize(length.bytes, 0);
        }
        for (sector, images) in &self.images {
            if sector * SECTOR_BYTES >= found.len() {
                break;
            }
            let ages: Vec<u64> = images.iter().map(|image| now - image.step).collect();
            let unsynced = Unsynced {
                file,
                what: What::Sector(*sector as u64),
                ages: &ages,
                may_be_garbage: garbage,
            };
            let chosen = unsynced.choose(survival);
            let Some(written) = chosen.checked_sub(1) else {
                continue;
            };
            let image = match (written, garbage) {
                (0, true) => garbled(&sector_of(&found, *sector), images),
                (written, _) => images[written - usize::from(garbage)].bytes,
            };
            put_sector(&mut found, *sector, &image);
        }
        Self::synced_arc(Arc::new(found))
    }

    fn synced_arc(bytes: Arc<Vec<u8>>) -> Self {
        Self {
            shown: Arc::clone(&bytes),
            held: bytes,
            ..Self::default()
        }
    }
}

/// How many of the changes of length have reached the medium.
fn choose_length(lengths: &[Length], file: &str, now: u64, survival: &mut dyn Survival) -> usize {
    if lengths.is_empty() {
        return 0;
    }
    let ages: Vec<u64> = lengths.iter().map(|length| now - length.step).collect();
    let unsynced = Unsynced {
        file,
        what: What::Length,
        ages: &ages,
        may_be_garbage: false,
    };
    unsynced.choose(survival)
}

/// A sector, with zeros behind the end of the file.
fn sector_of(bytes: &[u8], sector: usize) -> [u8; SECTOR_BYTES] {
    let mut image = [0; SECTOR_BYTES];
    let rest = bytes.get(sector * SECTOR_BYTES..).unwrap_or_default();
    let filled = rest.len().min(SECTOR_BYTES);
    image[..filled].copy_from_slice(&rest[..filled]);
    image
}

/// Puts a sector back, as far as the file goes.
fn put_sector(bytes: &mut [u8], sector: usize, image: &[u8; SECTOR_BYTES]) {
    let rest = bytes.get_mut(sector * SECTOR_BYTES..).unwrap_or_default();
    let filled = rest.len().min(SECTOR_BYTES);
    rest[..filled].copy_from_slice(&image[..filled]);
}

/// The old sector with nonsense in the bytes that the writes would change.
/// Those that no write changes stay: what SQLite calls powersafe overwrite.
fn garbled(old: &[u8; SECTOR_BYTES], images: &[Image]) -> [u8; SECTOR_BYTES] {
    let mut garbled = *old;
    // The constants are those of Knuth's MMIX generator.
    let mut state = images.last().map_or(1, |newest| newest.step + 1);
    for (at, byte) in garbled.iter_mut().enumerate() {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        if images.iter().any(|image| image.bytes[at] != old[at]) {
            *byte = (state >> 56) as u8;
        }
    }
    garbled
}
