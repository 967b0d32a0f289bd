//! The segments of a directory, and whether each is tied to the one before; what
//! a truncation has discarded, and of which log that is.

use std::io;

use log_core::CELL_ALIGN_BYTES;

use super::BROKEN_CHAIN;
use super::table::{Facts, Verdict, decide};
use crate::error::{Damage, OpenError, READ};
use crate::format::{
    FIRST_POSITION, FORMAT_VERSION, FrameKey, FrameKind, HEADER_BYTES, HEADER_PAGE_BYTES, Header,
    HeaderFault, Predecessor, SEAL_BYTES, SegmentName,
};
use crate::storage::{SegmentFile, Storage};

/// The name of the lock file; not a segment, and not a stranger.
const LOCK: &str = "LOCK";

/// What a file is called until it is whole.
const TEMPORARY: &str = ".new";

/// A segment file with a whole header. Not kept open: there may be more
/// segments than a process may have files.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    pub name: SegmentName,
    pub header: Header,
    pub file_bytes: u64,
    /// Whether its seal stands where its successor says; false if it has none.
    pub has_seal: bool,
}

impl Link {
    /// Where the place for frames ends: not behind the end of the file, whatever
    /// the header says (`INV-W10`).
    pub(super) fn records_end(&self) -> u64 {
        let within = self.header.capacity_bytes.min(self.file_bytes);
        within.max(FIRST_POSITION) / CELL_ALIGN_BYTES as u64 * CELL_ALIGN_BYTES as u64
    }

    /// With what is known of its seal when its successor is.
    pub(super) fn with_seal(self, storage: &dyn Storage, successor: &Header) -> io::Result<Self> {
        let file = storage.open(&self.name.to_string(), false)?;
        let said = successor.predecessor;
        let has_seal = said.map(|said| has_seal(file.as_ref(), &self.header, said));
        Ok(Self {
            has_seal: has_seal.transpose()?.unwrap_or_default(),
            ..self
        })
    }

    /// Whether it names `before` as its predecessor, and an end that this can
    /// have.
    pub(super) fn follows(&self, before: &Self) -> bool {
        self.header
            .predecessor
            .is_some_and(|said| said.id == before.header.id && said.end >= before.header.base)
    }
}

/// What a directory holds.
#[derive(Debug)]
pub(crate) struct Links {
    /// Ascending, each tied to the one before.
    pub chain: Vec<Link>,
    /// Discarded segments of other logs.
    pub strangers: Vec<String>,
    pub leftovers: Vec<String>,
    pub ignored_files: Vec<String>,
}

/// The name of a segment's file while it is being made.
pub(crate) fn temporary_name(name: SegmentName) -> String {
    format!("{name}{TEMPORARY}")
}

/// The name of a file that waits to become a segment. No segment has id 0, and
/// so no file of a segment has this name.
pub(crate) fn spare_name(number: u64) -> String {
    format!("{:020}-{:010}.spare{number}{TEMPORARY}", 0, 0)
}

/// Whether a name belongs to a segment without being its data, as the files do
/// that upper layers keep beside it.
pub(crate) fn is_derived(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default();
    SegmentName::parse(&format!("{stem}.log")).is_some()
}

/// The names in a directory.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// Those of segments, by id, and by base where several have one.
    pub segments: Vec<SegmentName>,
    pub leftovers: Vec<String>,
    pub ignored_files: Vec<String>,
}

/// Lists what is in the directory.
pub(super) fn names(storage: &dyn Storage) -> Result<Names, OpenError> {
    let mut names = Names::default();
    let found = storage
        .list()
        .map_err(|error| directory_error(storage, error))?;
    for file in found {
        match SegmentName::parse(&file.name) {
            Some(_) if !file.is_regular => {
                return Err(OpenError::Foreign {
                    path: storage.path(&file.name),
                    reason: "it is not a regular file",
                });
            }
            Some(name) => names.segments.push(name),
            None if is_derived(&file.name) && file.name.ends_with(TEMPORARY) => {
                names.leftovers.push(file.name);
            }
            None if is_derived(&file.name) || file.name == LOCK => {}
            None => names.ignored_files.push(file.name),
        }
    }
    names.segments.sort_by_key(|name| (name.id, name.base));
    names.ignored_files.sort();
    Ok(names)
}

/// Lists the segments, reads their headers, and checks that they form one
/// chain.
pub(crate) fn links(storage: &dyn Storage) -> Result<Links, OpenError> {
    let Names {
        segments: names,
        mut leftovers,
        ignored_files,
    } = names(storage)?;
    let mut chain: Vec<Link> = Vec::with_capacity(names.len());
    // From the newest back, because what a truncation discarded need not hang
    // together any more.
    let mut discarded_from = None;
    let mut discarded = Vec::new();
    for name in names.into_iter().rev() {
        if discarded_from.is_some_and(|from| name.id >= from) {
            discarded.push(name);
            continue;
        }
        let link = open_link(storage, name, chain.last().map(|link| &link.header))?;
        if link.header.truncates {
            // All, if it was cut in front of its first record.
            discarded_from = Some(link.header.predecessor.map_or(0, |kept| kept.id + 1));
        }
        chain.push(link);
    }
    chain.reverse();
    let (strangers, own) = split_by_log(storage, &chain, discarded)?;
    leftovers.extend(own.iter().map(SegmentName::to_string));
    for (before, link) in chain.iter().zip(chain.iter().skip(1)) {
        check_tie(storage, before, link)?;
    }
    Ok(Links {
        chain,
        strangers: strangers.iter().map(SegmentName::to_string).collect(),
        leftovers,
        ignored_files,
    })
}

/// Of what is discarded: what is of other logs, and the rest.
///
/// A segment of another log that was put here by mistake may truncate too, and
/// must not cost this one its segments: the log of the newest must be the
/// [most numerous](most_numerous). After a cut it is, and what it discards may
/// be of others.
fn split_by_log(
    storage: &dyn Storage,
    chain: &[Link],
    discarded: Vec<SegmentName>,
) -> Result<(Vec<SegmentName>, Vec<SegmentName>), OpenError> {
    let Some(newest) = chain.last() else {
        return Ok((Vec::new(), discarded));
    };
    let own = newest.header.log_uuid;
    let mut uuids: Vec<_> = chain.iter().map(|link| link.header.log_uuid).collect();
    let is_strange = |name: &SegmentName| {
        // Nothing in what is discarded counts, so it may be damaged.
        let uuid = open_link(storage, *name, None).map(|link| link.header.log_uuid);
        uuids.extend(uuid.iter());
        uuid.is_ok_and(|uuid| uuid != own)
    };
    let (strangers, rest): (Vec<_>, Vec<_>) = discarded.into_iter().partition(is_strange);
    if strangers.is_empty() || most_numerous(&uuids) == Some((own, true)) {
        return Ok((strangers, rest));
    }
    Err(OpenError::Foreign {
        path: storage.path(&newest.name.to_string()),
        reason: "it belongs to another log than the segments that it would discard",
    })
}

/// The log that most segments are of, the newest of those that are as
/// numerous, oldest first; and whether there is no other such log.
pub(super) fn most_numerous(uuids: &[[u8; 16]]) -> Option<([u8; 16], bool)> {
    let count = |uuid: &[u8; 16]| uuids.iter().filter(|other| *other == uuid).count();
    let own = uuids.iter().max_by_key(|uuid| count(uuid)).copied()?;
    let others = uuids.iter().filter(|uuid| **uuid != own);
    let is_alone = others.map(count).all(|others| others < count(&own));
    Some((own, is_alone))
}

fn directory_error(storage: &dyn Storage, error: io::Error) -> OpenError {
    let path = storage.path("");
    match error.kind() {
        io::ErrorKind::NotFound => OpenError::NoLog { path },
        _ => OpenError::io(READ, &path, error),
    }
}

/// Reads what is needed of a segment, in one opening, because there may be
/// thousands.
pub(super) fn open_link(
    storage: &dyn Storage,
    name: SegmentName,
    successor: Option<&Header>,
) -> Result<Link, OpenError> {
    let path = storage.path(&name.to_string());
    let unreadable = |error| OpenError::io(READ, &path, error);
    let file = storage.open(&name.to_string(), false).map_err(unreadable)?;
    let file_bytes = file.len_bytes().map_err(unreadable)?;
    let header = match read_header(file.as_ref()).map_err(unreadable)? {
        Ok(header) => header,
        Err(HeaderFault::NewerVersion(found)) => {
            return Err(OpenError::NewerVersion {
                path,
                found,
                supported: FORMAT_VERSION,
            });
        }
        Err(HeaderFault::Magic) => {
            return Err(OpenError::Foreign {
                path,
                reason: "it does not begin as a segment does",
            });
        }
        Err(HeaderFault::Blank | HeaderFault::Damaged) => {
            return Err(damaged_header(storage, name));
        }
    };
    if header.name() != name {
        return Err(OpenError::Foreign {
            path,
            reason: "its name and its header disagree",
        });
    }
    let has_seal = match successor.and_then(|successor| successor.predecessor) {
        Some(said) => has_seal(file.as_ref(), &header, said).map_err(unreadable)?,
        None => false,
    };
    Ok(Link {
        name,
        header,
        file_bytes,
        has_seal,
    })
}

/// Whether the segment's seal stands where its successor says.
pub(super) fn has_seal(
    file: &dyn SegmentFile,
    header: &Header,
    said: Predecessor,
) -> io::Result<bool> {
    let mut bytes = [0; SEAL_BYTES];
    let filled = file.read_at(said.end_position, &mut bytes)?;
    let frame = FrameKey::new(header.salt).decode(&bytes[..filled], said.end_position, said.end);
    Ok(frame.is_ok_and(|frame| frame.kind == FrameKind::Seal(said.end)))
}

fn damaged_header(storage: &dyn Storage, name: SegmentName) -> OpenError {
    let (row, verdict) = decide(Facts {
        newest: true,
        header: false,
        sealed: false,
        claims_kept: false,
        debris: false,
        successor_used: false,
    });
    let reason = match verdict {
        Verdict::Refuse(reason) => reason,
        _ => "its header cannot be read",
    };
    OpenError::Damaged(Damage {
        path: storage.path(&name.to_string()),
        position: 0,
        lsn: Some(name.base),
        row,
        reason: reason.to_owned(),
        lost: None,
    })
}

/// Reads the header, or its copy if the first is not whole.
fn read_header(file: &dyn SegmentFile) -> io::Result<Result<Header, HeaderFault>> {
    let copy = |position| -> io::Result<Result<Header, HeaderFault>> {
        let mut bytes = [0; HEADER_BYTES];
        let filled = file.read_at(position, &mut bytes)?;
        Ok(Header::decode(&bytes[..filled]))
    };
    let first = copy(0)?;
    let Err(fault) = first else {
        return Ok(first);
    };
    let second = copy(HEADER_PAGE_BYTES)?;
    // Of two faults tell the one that says more.
    let newer = |fault| matches!(fault, HeaderFault::NewerVersion(_));
    match second {
        Err(_) if newer(fault) => Ok(Err(fault)),
        Err(HeaderFault::Magic) if fault != HeaderFault::Magic => Ok(Err(fault)),
        other => Ok(other),
    }
}

/// Refuses segments that do not follow one another.
fn check_tie(storage: &dyn Storage, before: &Link, link: &Link) -> Result<(), OpenError> {
    let path = storage.path(&link.name.to_string());
    if link.header.log_uuid != before.header.log_uuid {
        return Err(OpenError::Foreign {
            path,
            reason: "it belongs to another log",
        });
    }
    if link.follows(before) {
        return Ok(());
    }
    let missing = link.header.predecessor.map_or(0, |said| said.id);
    Err(OpenError::Damaged(Damage {
        path,
        position: 0,
        lsn: Some(link.header.base),
        row: BROKEN_CHAIN,
        reason: format!(
            "it follows segment {missing}, but the segment before it in the directory is {}",
            before.header.id
        ),
        lost: None,
    }))
}

/// Refuses a directory that holds other files and no log: it is somebody
/// else's.
pub(crate) fn refuse_strangers(storage: &dyn Storage) -> Result<(), OpenError> {
    let found = storage
        .list()
        .map_err(|error| directory_error(storage, error))?;
    let ours = |name: &str| name == LOCK || is_derived(name);
    if found.is_empty() || found.iter().any(|file| ours(&file.name)) {
        return Ok(());
    }
    let strangers = found.into_iter().map(|file| file.name);
    Err(OpenError::NotALog {
        path: storage.path(""),
        example: strangers.min().unwrap_or_default(),
    })
}
