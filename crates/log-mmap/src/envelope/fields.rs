//! Which fields an envelope has: the bits of the frame's codec.

use log_wal::Codec;

/// A set of fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Fields(u8);

impl Fields {
    pub(super) const TIMESTAMP: Self = Self(1 << 0);
    pub(super) const SCHEMA_VERSION: Self = Self(1 << 1);
    pub(super) const BATCH_COUNT: Self = Self(1 << 2);
    pub(super) const KEY: Self = Self(1 << 3);
    pub(super) const HEADERS: Self = Self(1 << 4);

    const ALL: u8 = (1 << 5) - 1;

    /// `None` if there is a field that this version does not know.
    #[inline]
    pub(super) fn from_codec(codec: Codec) -> Option<Self> {
        let bits = codec.number();
        (bits & !Self::ALL == 0).then_some(Self(bits))
    }

    #[inline]
    pub(super) fn to_codec(self) -> Codec {
        Codec::new(self.0).unwrap_or(Codec::PLAIN)
    }

    #[inline]
    pub(super) fn has(self, field: Self) -> bool {
        self.0 & field.0 != 0
    }

    /// With `field`, if it `is_there`.
    #[inline]
    pub(super) fn with(self, field: Self, is_there: bool) -> Self {
        Self(self.0 | if is_there { field.0 } else { 0 })
    }
}
