//! The checksum of a frame, without paying twice for a short message.
//!
//! It covers four words that are not all in the frame (salt, position, first
//! word, lsn) and then the payload. Handing the words to the hasher first costs
//! more than a payload of 256 bytes does: a short message is all fixed cost,
//! and the payload's part has to wait for the result.
//!
//! CRC is linear: the checksum of words is the exclusive or of what each of
//! their bytes contributes, and that is one look into a table for each byte, in
//! no order. So the salt is summed up once a segment, the other words by table
//! while the payload is being fetched, and the hasher sees the payload alone.
//! The result is CRC-32 of all of it, as before (bench `wal_append`).

use log_core::{Lsn, Word};

/// The polynomial of CRC-32 (IEEE), bits reversed.
const POLYNOMIAL: u32 = 0xEDB8_8320;

/// What is covered between the salt and the payload.
const PLACE_BYTES: usize = 24;

/// `CONTRIBUTIONS[behind][byte]`: what `byte` adds to the checksum of a message
/// that ends `behind` bytes behind it.
static CONTRIBUTIONS: [[u32; 256]; PLACE_BYTES] = contributions();

const fn contributions() -> [[u32; 256]; PLACE_BYTES] {
    let mut tables = [[0; 256]; PLACE_BYTES];
    let mut byte = 0;
    while byte < 256 {
        let mut remainder = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            let carry = if remainder & 1 == 1 { POLYNOMIAL } else { 0 };
            remainder = remainder >> 1 ^ carry;
            bit += 1;
        }
        tables[0][byte] = remainder;
        byte += 1;
    }
    let mut behind = 1;
    while behind < PLACE_BYTES {
        let mut byte = 0;
        while byte < 256 {
            let nearer = tables[behind - 1][byte];
            tables[behind][byte] = nearer >> 8 ^ tables[0][nearer as usize & 0xFF];
            byte += 1;
        }
        behind += 1;
    }
    tables
}

/// What `word` adds to the checksum of a message that ends `BEHIND` bytes
/// behind it.
#[inline]
fn contribution<const BEHIND: usize>(word: u64) -> u32 {
    let mut sum = 0;
    for (index, byte) in word.to_le_bytes().into_iter().enumerate() {
        sum ^= CONTRIBUTIONS[BEHIND + 7 - index][usize::from(byte)];
    }
    sum
}

/// The checksum of one segment's frames: has seen the salt.
#[derive(Clone, Debug)]
pub(super) struct Checksum {
    /// Of the salt, and zeros for everything between it and the payload.
    salted: u32,
}

impl Checksum {
    pub(super) fn new(salt: u64) -> Self {
        let mut salted = crc32fast::Hasher::new();
        salted.update(&salt.to_le_bytes());
        salted.update(&[0; PLACE_BYTES]);
        Self {
            salted: salted.finalize(),
        }
    }

    /// Of the frame at `position` with this first word, number and payload,
    /// which includes the padding.
    #[inline]
    pub(super) fn of(&self, position: u64, word: Word, lsn: Lsn, padded_payload: &[u8]) -> u32 {
        let place = contribution::<16>(position)
            ^ contribution::<8>(word.to_bits())
            ^ contribution::<0>(lsn.0);
        let mut hasher = crc32fast::Hasher::new_with_initial(self.salted ^ place);
        hasher.update(padded_payload);
        hasher.finalize()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_the_crc_of_everything_one_after_the_other(
            (salt, position, word, lsn) in any::<(u64, u64, u64, u64)>(),
            payload in proptest::collection::vec(any::<u8>(), 0..600),
        ) {
            let mut covered = Vec::new();
            for word in [salt, position, word, lsn] {
                covered.extend(word.to_le_bytes());
            }
            covered.extend(&payload);
            let sum = Checksum::new(salt).of(position, Word::from_bits(word), Lsn(lsn), &payload);
            prop_assert_eq!(sum, crc32fast::hash(&covered));
        }
    }
}
