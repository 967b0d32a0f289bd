//! A cursor's file: written whole under another name, synced, renamed.
//!
//! ```text
//! position  0        8         12       16        24            32          40      41       42
//!           | magic  | version | crc32  | position| pin records | pin bytes | flags | length | name, zeros to 128 |
//! ```
//!
//! Little-endian. The checksum covers everything but itself; the name is there
//! so that a file which was copied to another name is not believed.

use std::io;

use log_mmap::Blocks;

use super::error::CursorError;
use super::handle::PinBound;
use crate::Lsn;
use crate::engine::Storage;

const LEN: usize = 128;
const MAGIC: [u8; 8] = *b"stratcur";
const VERSION: u32 = 1;
const FLAG_PINS: u8 = 1;
const NAME_AT: usize = 42;
const NAME_MAX: usize = 64;

const SUFFIX: &str = ".cursor";
/// Of a file that is not finished.
const NEW_SUFFIX: &str = ".cursor.new";

/// What the file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Saved {
    /// The number of the first record that is not confirmed.
    pub position: Lsn,
    pub pin: Option<PinBound>,
}

pub(super) fn check_name(name: &str) -> Result<(), CursorError> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let is_name = (1..=NAME_MAX).contains(&name.len())
        && name.bytes().all(is_allowed)
        && !name.starts_with('.');
    match is_name {
        true => Ok(()),
        false => Err(CursorError::Name {
            name: name.to_owned(),
        }),
    }
}

/// The name of a cursor's file.
pub(super) fn name_of(name: &str) -> String {
    format!("{name}{SUFFIX}")
}

/// Whether a file of this name is a cursor's, finished or not.
pub(super) fn is_cursors(file_name: &str) -> bool {
    let name = file_name
        .strip_suffix(SUFFIX)
        .or_else(|| file_name.strip_suffix(NEW_SUFFIX));
    name.is_some_and(|name| check_name(name).is_ok())
}

/// The names of all cursors, ascending.
pub(super) fn list(storage: &dyn Storage) -> Result<Vec<String>, CursorError> {
    let found = storage
        .list()
        .map_err(|source| list_failed(storage, source))?;
    let named = found.iter().filter_map(|file| {
        let name = file.name.strip_suffix(SUFFIX)?;
        check_name(name).ok()?;
        file.is_regular.then(|| name.to_owned())
    });
    let mut names: Vec<_> = named.collect();
    names.sort_unstable();
    Ok(names)
}

fn list_failed(storage: &dyn Storage, source: io::Error) -> CursorError {
    CursorError::Io {
        action: "list",
        path: storage.path(""),
        source,
    }
}

/// Reads a cursor's file if there is one. Does not open what is no file: that
/// could wait for ever, or lead elsewhere.
pub(super) fn find(storage: &dyn Storage, name: &str) -> Result<Option<Saved>, CursorError> {
    let file_name = name_of(name);
    let found = storage
        .list()
        .map_err(|source| list_failed(storage, source))?;
    match found.iter().find(|file| file.name == file_name) {
        None => Ok(None),
        Some(file) if file.is_regular => read(storage, name),
        Some(_) => Err(CursorError::Damaged {
            path: storage.path(&file_name),
            fault: "it is no file",
        }),
    }
}

/// Reads the file of a cursor that was [listed](list); `None` if it is gone.
pub(super) fn read(storage: &dyn Storage, name: &str) -> Result<Option<Saved>, CursorError> {
    let file_name = name_of(name);
    // One byte more, to see that it ends there.
    let mut bytes = [0; LEN + 1];
    let opened = storage.open(&file_name, false);
    let len = match opened.and_then(|file| file.read_at(0, &mut bytes)) {
        Ok(len) => len,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => {
            return Err(CursorError::Io {
                action: "read",
                path: storage.path(&file_name),
                source,
            });
        }
    };
    let whole = bytes.first_chunk::<LEN>().filter(|_| len == LEN);
    let decoded = whole.ok_or("a cursor's file has another length");
    match decoded.and_then(|bytes| decode(bytes, name)) {
        Ok(saved) => Ok(Some(saved)),
        Err(fault) => Err(CursorError::Damaged {
            path: storage.path(&file_name),
            fault,
        }),
    }
}

/// Puts a new file in the place of the old one. Durable once the directory is
/// synced; until then a crash finds the one or the other.
pub(super) fn write(storage: &dyn Storage, name: &str, saved: Saved) -> Result<(), CursorError> {
    let new_name = format!("{name}{NEW_SUFFIX}");
    let failed = |action, source| CursorError::Io {
        action,
        path: storage.path(&new_name),
        source,
    };
    match storage.remove(&new_name) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(failed("remove", error));
        }
        // Left by a crash, or by a failure.
        _ => {}
    }
    let file = storage
        .create(&new_name, LEN as u64, Blocks::Written)
        .map_err(|error| failed("make", error))?;
    file.write_at(0, &encode(saved, name))
        .map_err(|error| failed("write", error))?;
    file.sync().map_err(|error| failed("sync", error))?;
    storage
        .rename(&new_name, &name_of(name))
        .map_err(|error| failed("rename", error))
}

fn encode(saved: Saved, name: &str) -> [u8; LEN] {
    let mut bytes = [0; LEN];
    let mut put = |at: usize, field: &[u8]| {
        if let Some(place) = bytes.get_mut(at..at + field.len()) {
            place.copy_from_slice(field);
        }
    };
    let bound = saved.pin.unwrap_or_default();
    put(0, &MAGIC);
    put(8, &VERSION.to_le_bytes());
    put(16, &saved.position.0.to_le_bytes());
    put(24, &bound.records_max.to_le_bytes());
    put(32, &bound.bytes_max.to_le_bytes());
    // The name was checked: it is not longer than a byte can say.
    put(40, &[saved.pin.map_or(0, |_| FLAG_PINS), name.len() as u8]);
    put(NAME_AT, name.as_bytes());
    let crc = checksum(&bytes);
    let (_, rest) = bytes.split_at_mut(12);
    rest[..4].copy_from_slice(&crc.to_le_bytes());
    bytes
}

fn decode(bytes: &[u8; LEN], name: &str) -> Result<Saved, &'static str> {
    if bytes[..8] != MAGIC {
        return Err("it does not begin as a cursor's file does");
    }
    if u32_at(bytes, 12) != checksum(bytes) {
        return Err("its checksum is another");
    }
    if u32_at(bytes, 8) != VERSION {
        return Err("it was written by a later version");
    }
    let stored = bytes.get(NAME_AT..NAME_AT + usize::from(bytes[41]));
    if stored != Some(name.as_bytes()) {
        return Err("it is the file of another cursor");
    }
    let bound = PinBound {
        records_max: u64_at(bytes, 24),
        bytes_max: u64_at(bytes, 32),
    };
    Ok(Saved {
        position: Lsn(u64_at(bytes, 16)),
        pin: (bytes[40] & FLAG_PINS != 0).then_some(bound),
    })
}

fn checksum(bytes: &[u8; LEN]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&bytes[..12]);
    hasher.update(&bytes[16..]);
    hasher.finalize()
}

fn u32_at(bytes: &[u8; LEN], at: usize) -> u32 {
    u32::from_le_bytes(field(bytes, at))
}

fn u64_at(bytes: &[u8; LEN], at: usize) -> u64 {
    u64::from_le_bytes(field(bytes, at))
}

fn field<const N: usize>(bytes: &[u8; LEN], at: usize) -> [u8; N] {
    std::array::from_fn(|index| bytes.get(at + index).copied().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::MemStorage;

    const SAVED: Saved = Saved {
        position: Lsn(0x1122_3344_5566),
        pin: Some(PinBound {
            records_max: 7,
            bytes_max: u64::MAX,
        }),
    };

    #[test]
    fn what_was_written_is_read() {
        let storage = MemStorage::new();
        let unpinned = Saved { pin: None, ..SAVED };
        for saved in [SAVED, unpinned, SAVED] {
            write(&storage, "billing", saved).unwrap();
            assert_eq!(read(&storage, "billing").unwrap(), Some(saved));
        }
        assert_eq!(read(&storage, "other").unwrap(), None);
        assert_eq!(list(&storage).unwrap(), ["billing"]);
    }

    #[test]
    fn no_bit_of_a_cursor_can_change_unnoticed() {
        let whole = encode(SAVED, "billing");
        assert_eq!(decode(&whole, "billing"), Ok(SAVED));
        for bit in 0..LEN * 8 {
            let mut flipped = whole;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&flipped, "billing").is_err(), "bit {bit}");
        }
        assert!(decode(&whole, "shipping").is_err());
    }

    #[test]
    fn a_name_is_a_file_name_everywhere() {
        for name in ["a", "billing-2.eu_west", &"x".repeat(64)] {
            check_name(name).unwrap();
        }
        for name in [
            "",
            ".a",
            "..",
            "a/b",
            "a\\b",
            "a b",
            "ä",
            "a\0",
            &"x".repeat(65),
        ] {
            assert!(check_name(name).is_err(), "{name:?}");
        }
    }
}
