//! Bytes to append, in one piece or several.

use bytes::Bytes;

use crate::format::Codec;

/// What can be appended: it knows its length, and copies itself to where it
/// will stay.
///
/// An append asks for the length once, reserves as much, and has it filled.
/// Between the two no later record of any thread is visible, so `copy_to`
/// should do nothing but copy, and must not use the log. If it panics, the
/// numbers that were reserved stay taken and have no record: readers pass over
/// them.
///
/// ```
/// use log_wal::{Codec, Payload, Wal};
///
/// /// A number, as eight bytes.
/// struct Price(u64);
///
/// impl Payload for Price {
///     fn len_bytes(&self) -> usize {
///         8
///     }
///     fn copy_to(&self, place: &mut [u8]) {
///         place.copy_from_slice(&self.0.to_le_bytes());
///     }
/// }
///
/// # let directory = tempfile::tempdir()?;
/// let wal = Wal::open(directory.path())?;
/// wal.append_payload(&Price(1207))?;
/// let record = wal.iter().next().ok_or("not there")??;
/// assert_eq!(record.payload(), 1207_u64.to_le_bytes());
/// assert_eq!(record.codec(), Codec::PLAIN);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Payload {
    /// How many bytes it has.
    fn len_bytes(&self) -> usize;

    /// Writes all of `place`, which has as many bytes as [`len_bytes`] said,
    /// holding whatever was there before.
    ///
    /// [`len_bytes`]: Self::len_bytes
    fn copy_to(&self, place: &mut [u8]);

    /// How the bytes are to be read.
    #[inline]
    fn codec(&self) -> Codec {
        Codec::PLAIN
    }
}

impl Payload for [u8] {
    #[inline]
    fn len_bytes(&self) -> usize {
        self.len()
    }

    #[inline]
    fn copy_to(&self, place: &mut [u8]) {
        place.copy_from_slice(self);
    }
}

/// For what is a slice of bytes at heart.
macro_rules! payload_of_bytes {
    ($($(const $length:ident)? $type:ty),*) => {$(
        impl $(<const $length: usize>)? Payload for $type {
            #[inline]
            fn len_bytes(&self) -> usize {
                self.len()
            }

            #[inline]
            fn copy_to(&self, place: &mut [u8]) {
                place.copy_from_slice(self);
            }
        }
    )*};
}

payload_of_bytes!(const LENGTH [u8; LENGTH], Vec<u8>, Bytes);

impl<P: Payload + ?Sized> Payload for &P {
    #[inline]
    fn len_bytes(&self) -> usize {
        (**self).len_bytes()
    }

    #[inline]
    fn copy_to(&self, place: &mut [u8]) {
        (**self).copy_to(place);
    }

    #[inline]
    fn codec(&self) -> Codec {
        (**self).codec()
    }
}

/// Pieces that become one record, one behind the other.
#[derive(Clone, Copy, Debug)]
pub struct Parts<'a>(pub &'a [&'a [u8]]);

impl Payload for Parts<'_> {
    fn len_bytes(&self) -> usize {
        let lengths = self.0.iter().map(|part| part.len());
        // The same memory many times can sum up to more than there is.
        lengths.fold(0, usize::saturating_add)
    }

    fn copy_to(&self, mut place: &mut [u8]) {
        for part in self.0 {
            let (front, behind) = place.split_at_mut(part.len());
            front.copy_from_slice(part);
            place = behind;
        }
    }
}
