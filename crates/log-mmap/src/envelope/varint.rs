//! Numbers in as few bytes as they need; see the drawing in the module above.

/// The longest that a number can be.
#[cfg(test)]
const LEN_BYTES_MAX: usize = 5;

/// How many bytes `value` takes.
#[inline]
pub(super) fn len_bytes(value: usize) -> usize {
    let bits = usize::BITS - (value | 1).leading_zeros();
    bits.div_ceil(7) as usize
}

/// Writes `value` in front of `place`, and returns what is behind it.
#[inline]
pub(super) fn write(mut value: usize, place: &mut [u8]) -> &mut [u8] {
    let (number, rest) = place.split_at_mut(len_bytes(value));
    let Some((last, others)) = number.split_last_mut() else {
        return rest;
    };
    for byte in others {
        *byte = value as u8 | 0x80;
        value >>= 7;
    }
    *last = value as u8;
    rest
}

/// The number in front of `bytes`, and what is behind it; `None` if there is
/// none in its shortest form.
#[inline]
pub(super) fn read(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let mut value = 0;
    for (at, byte) in bytes.iter().enumerate() {
        let group = u32::from(byte & 0x7F);
        let shift = 7 * at as u32;
        if group.checked_shl(shift)? >> shift != group {
            return None;
        }
        value |= group << shift;
        if byte & 0x80 == 0 {
            // A last group of zeros could have been left out.
            let is_shortest = *byte != 0 || at == 0;
            return is_shortest.then_some((value, &bytes[at + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_read_as_it_was_written() {
        let edges = (0..32).flat_map(|bit| [(1_u32 << bit) - 1, 1 << bit, (1 << bit) + 1]);
        for value in edges.chain([u32::MAX]) {
            let mut place = [0xEE; LEN_BYTES_MAX + 1];
            let behind = write(value as usize, &mut place).len();
            let len = place.len() - behind;
            assert_eq!(len, len_bytes(value as usize));
            assert_eq!(place[len], 0xEE, "{value}: no more than that is written");
            assert_eq!(read(&place), Some((value, &place[len..])));
            for kept in 0..len {
                assert_eq!(read(&place[..kept]), None, "{value}: cut");
            }
        }
    }

    #[test]
    fn numbers_that_are_too_large_or_too_long_are_refused() {
        assert_eq!(read(&[0x80, 0x00]), None, "0 in two bytes");
        assert_eq!(read(&[0xFF, 0x80, 0x00]), None, "127 in three");
        assert_eq!(read(&[0xFF, 0xFF, 0xFF, 0xFF, 0x1F]), None, "2^33 - 1");
        assert_eq!(read(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x01]), None, "2^35");
        assert_eq!(read(&[0xFF; 40]), None, "no end");
        assert_eq!(read(&[]), None);
    }
}
