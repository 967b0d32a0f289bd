//! The process dies after any step of its work on the files. What it wrote
//! until then is what the next one finds.

mod common;

use std::any::Any;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use common::{
    Files, append, count_of_prefix, payload, small, try_open, try_open_read_only, with_spares,
};
use log_wal::storage::{Blocks, FoundFile, LockError, SegmentFile};
use log_wal::{Lsn, MemStorage, Storage, Wal};

/// Takes a picture of all files after every call that changes one, together
/// with what had been acknowledged by then.
#[derive(Debug)]
struct Pictures {
    storage: MemStorage,
    taken: Arc<Mutex<Album>>,
}

#[derive(Debug, Default)]
struct Album {
    pictures: Vec<(Files, Promise)>,
    promise: Promise,
}

/// What the log has promised at a moment.
#[derive(Clone, Copy, Debug, Default)]
struct Promise {
    /// Records below this were acknowledged as written, or better.
    written_end: u64,
    /// Records below this were appended at all.
    appended_end: u64,
}

impl Pictures {
    fn take(&self) {
        let mut album = self.taken.lock().unwrap();
        let promise = album.promise;
        album.pictures.push((self.storage.files(), promise));
    }
}

#[derive(Debug)]
struct PicturedFile {
    file: Box<dyn SegmentFile>,
    pictures: Pictures,
}

impl PicturedFile {
    fn boxed(pictures: &Pictures, file: Box<dyn SegmentFile>) -> Box<dyn SegmentFile> {
        let pictures = Pictures {
            storage: pictures.storage.clone(),
            taken: Arc::clone(&pictures.taken),
        };
        Box::new(Self { file, pictures })
    }
}

impl SegmentFile for PicturedFile {
    fn len_bytes(&self) -> io::Result<u64> {
        self.file.len_bytes()
    }

    fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(position, buffer)
    }

    fn write_at(&self, position: u64, bytes: &[u8]) -> io::Result<()> {
        // A process may die half-way through a write.
        let half = bytes.len() / 2 / 8 * 8;
        self.file.write_at(position, &bytes[..half])?;
        self.pictures.take();
        self.file.write_at(position, bytes)?;
        self.pictures.take();
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }

    fn shrink(&self, len_bytes: u64) -> io::Result<()> {
        self.file.shrink(len_bytes)?;
        self.pictures.take();
        Ok(())
    }
}

impl Storage for Pictures {
    fn lock(&self) -> Result<Box<dyn Any + Send + Sync>, LockError> {
        self.storage.lock()
    }

    fn is_locked(&self) -> io::Result<bool> {
        self.storage.is_locked()
    }

    fn list(&self) -> io::Result<Vec<FoundFile>> {
        self.storage.list()
    }

    fn create(
        &self,
        name: &str,
        len_bytes: u64,
        blocks: Blocks,
    ) -> io::Result<Box<dyn SegmentFile>> {
        let file = self.storage.create(name, len_bytes, blocks)?;
        self.take();
        Ok(PicturedFile::boxed(self, file))
    }

    fn open(&self, name: &str, writable: bool) -> io::Result<Box<dyn SegmentFile>> {
        let file = self.storage.open(name, writable)?;
        Ok(PicturedFile::boxed(self, file))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.storage.rename(from, to)?;
        self.take();
        Ok(())
    }

    fn rename_unheld(&self, from: &str, to: &str) -> io::Result<bool> {
        let renamed = self.storage.rename_unheld(from, to)?;
        self.take();
        Ok(renamed)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.storage.remove(name)?;
        self.take();
        Ok(())
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.storage.sync_directory()
    }

    fn random_u64(&self) -> u64 {
        self.storage.random_u64()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.storage.path(name)
    }
}

/// Does something to a log, and gives a picture of every step of it.
fn pictures_of(files: Files, work: impl FnOnce(&mut Wal, &Mutex<Album>)) -> Vec<(Files, Promise)> {
    let taken = Arc::new(Mutex::new(Album::default()));
    let storage = Pictures {
        storage: MemStorage::with_files(files),
        taken: Arc::clone(&taken),
    };
    let mut wal = Wal::with_storage(Arc::new(storage), with_spares()).unwrap();
    work(&mut wal, &taken);
    drop(wal);
    std::mem::take(&mut taken.lock().unwrap().pictures)
}

/// Appends and acknowledges, in groups, over several segments.
fn busy(wal: &Wal, album: &Mutex<Album>, from: u64, to: u64) {
    for lsn in from..to {
        album.lock().unwrap().promise.appended_end = lsn + 1;
        append(wal, lsn, lsn + 1);
        if lsn % 23 == 0 {
            wal.flush().unwrap();
            album.lock().unwrap().promise.written_end = lsn + 1;
        }
        if lsn % 61 == 0 {
            wal.sync().unwrap();
        }
    }
}

fn check(files: &Files, promise: Promise, step: usize) -> u64 {
    let read_only = try_open_read_only(files);
    let wal = match try_open(files) {
        Ok(wal) => wal,
        Err(error) => panic!("step {step}: {error}"),
    };
    let count = count_of_prefix(wal.iter());
    if let Ok(reader) = read_only {
        assert_eq!(count_of_prefix(reader.iter()), count, "step {step}");
    }
    assert!(
        count >= promise.written_end,
        "step {step}: {count} of {promise:?}"
    );
    assert!(
        count <= promise.appended_end,
        "step {step}: none is invented"
    );
    append(&wal, count, count + 2);
    wal.sync().unwrap();
    assert_eq!(
        count_of_prefix(wal.iter()),
        count + 2,
        "step {step}: it goes on"
    );
    count
}

#[test]
fn a_process_may_die_after_any_step_and_loses_nothing_it_acknowledged() {
    let pictures = pictures_of(Files::new(), |wal, album| busy(wal, album, 0, 900));
    assert!(pictures.len() > 60, "{} steps", pictures.len());
    for (step, (files, promise)) in pictures.iter().enumerate() {
        check(files, *promise, step);
    }
}

#[test]
fn it_may_die_again_while_it_recovers() {
    let first = pictures_of(Files::new(), |wal, album| busy(wal, album, 0, 500));
    for (files, promise) in first.iter().step_by(7) {
        let found = check(files, *promise, 0);
        let again = pictures_of(files.clone(), |_, _| {});
        for (step, (files, _)) in again.iter().enumerate() {
            assert_eq!(check(files, *promise, step), found, "INV-W9");
        }
    }
}

#[test]
fn it_may_die_while_it_cuts_a_torn_tail() {
    let storage = MemStorage::new();
    let wal = Wal::with_storage(Arc::new(storage.clone()), small()).unwrap();
    append(&wal, 0, 40);
    wal.flush().unwrap();
    let mut torn = storage.files();
    drop(wal);
    let name = common::newest(&torn);
    let used = torn[&name].iter().rposition(|byte| *byte != 0).unwrap();
    torn.get_mut(&name).unwrap()[used - 100..].fill(0);

    let promise = Promise {
        written_end: 0,
        appended_end: 40,
    };
    let kept = check(&torn, promise, 0);
    assert!(kept < 40);
    for (step, (files, _)) in pictures_of(torn, |_, _| {}).iter().enumerate() {
        assert_eq!(check(files, promise, step), kept, "INV-W9");
    }
}

#[test]
fn a_torn_first_record_leaves_an_empty_segment_behind() {
    let storage = MemStorage::new();
    let wal = Wal::with_storage(Arc::new(storage.clone()), small()).unwrap();
    append(&wal, 0, 1);
    wal.flush().unwrap();
    let mut torn = storage.files();
    drop(wal);
    let name = common::newest(&torn);
    torn.get_mut(&name).unwrap()[8192 + 16] ^= 0xFF;

    let storage = MemStorage::with_files(torn);
    for opening in 0..3 {
        let wal = Wal::with_storage(Arc::new(storage.clone()), small()).unwrap();
        assert_eq!(wal.next_lsn(), Lsn(opening));
        append(&wal, opening, opening + 1);
        wal.close().unwrap();
    }
    assert_eq!(
        storage.files().len(),
        2,
        "one was left behind, and one is in use"
    );
    let wal = Wal::with_storage(Arc::new(storage), small()).unwrap();
    assert_eq!(count_of_prefix(wal.iter_from(Lsn(0))), 3);
    assert_eq!(payload(0), wal.iter().next().unwrap().unwrap().payload());
}

#[test]
fn a_truncation_that_dies_at_any_step_happened_or_did_not() {
    for end in [3, 120, 333, 399] {
        let storage = MemStorage::new();
        let wal = Wal::with_storage(Arc::new(storage.clone()), small()).unwrap();
        append(&wal, 0, 400);
        wal.close().unwrap();
        let promise = Promise {
            written_end: end,
            appended_end: 400,
        };
        let mut happened = false;
        let pictures = pictures_of(storage.files(), |wal, _| {
            wal.truncate_after(Lsn(end)).unwrap()
        });
        for (step, (files, _)) in pictures.iter().enumerate() {
            let found = check(files, promise, step);
            assert!(
                found == end || found == 400 && !happened,
                "step {step}: {found} of {end}"
            );
            happened = found == end;
        }
        assert!(happened, "INV-W8");
    }
}

#[test]
fn a_checkpoint_that_dies_at_any_step_leaves_no_gap() {
    let storage = MemStorage::new();
    let wal = Wal::with_storage(Arc::new(storage.clone()), small()).unwrap();
    append(&wal, 0, 1200);
    wal.close().unwrap();
    let pictures = pictures_of(storage.files(), |wal, _| {
        assert!(wal.checkpoint(Lsn(1000)).unwrap() > 2);
    });
    for (files, _) in &pictures {
        let wal = try_open(files).unwrap();
        let mut next = wal.first_lsn();
        for record in wal.iter() {
            let record = record.unwrap();
            assert_eq!(
                (record.lsn(), record.payload()),
                (next, &payload(next.0)[..]),
                "INV-C1"
            );
            next.0 += 1;
        }
        assert_eq!(next, Lsn(1200));
    }
}
