//! A record that owns its bytes.

use log_mmap::{Codec, Payload};

use crate::NewRecord;

/// A record as it will be appended, for who cannot lend one for so long.
#[derive(Clone, Debug)]
pub struct EncodedRecord {
    bytes: Vec<u8>,
    codec: Codec,
}

impl From<&NewRecord<'_>> for EncodedRecord {
    fn from(record: &NewRecord<'_>) -> Self {
        let mut bytes = vec![0; record.len_bytes()];
        record.copy_to(&mut bytes);
        let codec = record.codec();
        Self { bytes, codec }
    }
}

impl Payload for EncodedRecord {
    fn len_bytes(&self) -> usize {
        self.bytes.len()
    }

    fn copy_to(&self, place: &mut [u8]) {
        place.copy_from_slice(&self.bytes);
    }

    fn codec(&self) -> Codec {
        self.codec
    }
}
