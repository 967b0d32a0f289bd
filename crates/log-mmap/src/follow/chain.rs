//! Which segment comes next, looked up in the directory of a log that may be
//! in use.
//!
//! Names never return and headers never change, so a header is read once. What
//! a truncation has discarded is told as recovery tells it: from the newest
//! segment back, because what was discarded need not hang together any more.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use log_wal::format::{HEADER_BYTES, HEADER_PAGE_BYTES, Header, SegmentName};
use log_wal::{Damage, Lsn, ReadError};

/// How often a look is repeated if files went away during it.
pub(super) const TRIES: usize = 8;

/// Two changes of a directory that are closer may carry the same time: the
/// longest tick of a kernel's clock, doubled.
const SETTLING: Duration = Duration::from_millis(20);

/// The segments of a directory.
#[derive(Debug)]
pub(super) struct Chain {
    directory: PathBuf,
    /// Ascending by id.
    names: Vec<SegmentName>,
    /// Of the segments in `names`, as far as they were needed.
    headers: BTreeMap<u64, Header>,
    /// The time of the directory's last change, by its own account in seconds
    /// and nanoseconds, and when that was noticed.
    change: Option<((i64, i64), Instant)>,
}

/// A segment, and what comes after it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    pub header: Header,
    pub successor: Option<Header>,
}

/// What comes after a segment.
#[derive(Clone, Copy, Debug)]
pub(super) enum Next {
    /// Nothing yet.
    Nothing,
    /// This one.
    Segment(Found),
    /// The segment was discarded; the log went on from this record.
    Discarded(Lsn),
    /// What came after it was dropped; the log begins at this record.
    Dropped(Lsn),
}

impl Chain {
    pub(super) fn of(directory: &Path) -> Self {
        Self {
            directory: directory.to_path_buf(),
            names: Vec::new(),
            headers: BTreeMap::new(),
            change: None,
        }
    }

    pub(super) fn path(&self, name: SegmentName) -> PathBuf {
        self.directory.join(name.to_string())
    }

    /// Whether segments may have come or gone since the last time this was
    /// asked. One system call.
    pub(super) fn may_have_changed(&mut self) -> Result<bool, ReadError> {
        let metadata = fs::metadata(&self.directory).map_err(|error| self.unreadable(error))?;
        let modified = (metadata.mtime(), metadata.mtime_nsec());
        match self.change {
            Some((known, noticed)) if known == modified => Ok(noticed.elapsed() < SETTLING),
            _ => {
                self.change = Some((modified, Instant::now()));
                Ok(true)
            }
        }
    }

    /// The segment that record `lsn` is in, or will be; the first if all begin
    /// behind it, and `None` if there is none.
    pub(super) fn find(&mut self, lsn: Lsn) -> Result<Option<Found>, ReadError> {
        self.walk_back(|header| header.base <= lsn)
    }

    /// What comes after segment `id`.
    pub(super) fn after(&mut self, id: u64) -> Result<Next, ReadError> {
        let before = |header: &Header| header.predecessor.map_or(0, |before| before.id);
        let found = self.walk_back(|header| header.id <= id || before(header) <= id)?;
        let Some(found) = found.filter(|found| found.header.id >= id) else {
            return Err(self.gone(id));
        };
        Ok(match (found.header.id, before(&found.header)) {
            (newest, _) if newest == id => Next::Nothing,
            (_, before) if before == id => Next::Segment(found),
            (_, before) if before < id => Next::Discarded(found.header.base),
            _ => Next::Dropped(found.header.base),
        })
    }

    /// From the newest segment back to the first that is `wanted`, or to the
    /// oldest; with its successor. Those that were discarded do not count.
    fn walk_back(&mut self, wanted: impl Fn(&Header) -> bool) -> Result<Option<Found>, ReadError> {
        let mut failed = None;
        for _ in 0..TRIES {
            self.list().map_err(|error| self.unreadable(error))?;
            match self.try_walk_back(&wanted) {
                Err(ReadError::Io { path, source, .. })
                    if source.kind() == io::ErrorKind::NotFound =>
                {
                    failed = Some((path, source));
                }
                walked => return walked,
            }
        }
        let (path, source) = failed.unwrap_or_else(|| {
            let error = io::Error::from(io::ErrorKind::NotFound);
            (self.directory.clone(), Arc::new(error))
        });
        Err(ReadError::Io {
            path,
            position: 0,
            source,
        })
    }

    fn try_walk_back(
        &mut self,
        wanted: impl Fn(&Header) -> bool,
    ) -> Result<Option<Found>, ReadError> {
        let mut newest_kept = u64::MAX;
        let mut found: Option<Found> = None;
        for name in self.names.clone().into_iter().rev() {
            if name.id > newest_kept {
                continue;
            }
            let header = self.header(name)?;
            if header.truncates {
                newest_kept = header.predecessor.map_or(0, |kept| kept.id);
            }
            let successor = found.map(|found| found.header);
            found = Some(Found { header, successor });
            if wanted(&header) {
                break;
            }
        }
        Ok(found)
    }

    fn list(&mut self) -> io::Result<()> {
        let mut names = Vec::with_capacity(self.names.len() + 1);
        for entry in fs::read_dir(&self.directory)? {
            let name = entry?.file_name();
            names.extend(name.to_str().and_then(SegmentName::parse));
        }
        names.sort_by_key(|name| name.id);
        let oldest = names.first().map_or(u64::MAX, |name| name.id);
        self.headers = self.headers.split_off(&oldest);
        self.names = names;
        Ok(())
    }

    fn header(&mut self, name: SegmentName) -> Result<Header, ReadError> {
        if let Some(header) = self.headers.get(&name.id) {
            return Ok(*header);
        }
        let path = self.path(name);
        let header = File::open(&path).and_then(|file| read_header(&file));
        let header = header.map_err(|error| unreadable(&path, error))?;
        match header {
            Some(header) if header.name() == name => {
                self.headers.insert(name.id, header);
                Ok(header)
            }
            // It is another segment by now; the name will be gone.
            Some(_) => Err(unreadable(&path, io::ErrorKind::NotFound.into())),
            None => {
                let reason = "both copies of its header are damaged";
                Err(Damage::in_sealed(&path, 0, Some(name.base), reason).into())
            }
        }
    }

    fn gone(&self, id: u64) -> ReadError {
        let reason = format!("segment {id} is gone, and there is none behind it");
        Damage::in_sealed(&self.directory, 0, None, reason).into()
    }

    fn unreadable(&self, error: io::Error) -> ReadError {
        unreadable(&self.directory, error)
    }
}

/// The header of a segment file, or its copy.
pub(super) fn read_header(file: &File) -> io::Result<Option<Header>> {
    for position in [0, HEADER_PAGE_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        match file.read_exact_at(&mut bytes, position) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => continue,
            Err(error) => return Err(error),
        }
        if let Ok(header) = Header::decode(&bytes) {
            return Ok(Some(header));
        }
    }
    Ok(None)
}

pub(super) fn unreadable(path: &Path, error: io::Error) -> ReadError {
    ReadError::Io {
        path: path.to_path_buf(),
        position: 0,
        source: Arc::new(error),
    }
}
