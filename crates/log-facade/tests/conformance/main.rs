//! Every rule, on every engine, on every storage.

mod bare;

use std::sync::Arc;

use log_facade::conformance::Subject;
use log_facade::{AppendError, AsyncLog, CommitError, Log, LogOptions, Lsn, OpenError};
use log_wal::MemStorage;
use log_wal::storage::sim::SimStorage;
use tempfile::TempDir;

use bare::Bare;

/// A directory, with a way to open it.
struct Directory {
    directory: TempDir,
    way: fn(LogOptions) -> LogOptions,
}

impl Directory {
    fn new(way: fn(LogOptions) -> LogOptions) -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self { directory, way }
    }
}

impl Subject for Directory {
    fn open(&self, options: LogOptions) -> Result<Log, OpenError> {
        (self.way)(options).open(self.directory.path())
    }
}

/// Memory that promises nothing.
struct Memory;

impl Subject for Memory {
    fn open(&self, options: LogOptions) -> Result<Log, OpenError> {
        options.open_in_memory()
    }

    fn survives_closing(&self) -> bool {
        false
    }
}

/// A write-ahead log on a storage of somebody's own.
struct On<S>(S);

impl Subject for On<SimStorage> {
    fn open(&self, options: LogOptions) -> Result<Log, OpenError> {
        options.open_on(Arc::new(self.0.clone()))
    }
}

impl Subject for On<MemStorage> {
    fn open(&self, options: LogOptions) -> Result<Log, OpenError> {
        options.open_on(Arc::new(self.0.clone()))
    }
}

/// An engine that leaves out what it may.
struct OfSomebody;

impl Subject for OfSomebody {
    fn open(&self, options: LogOptions) -> Result<Log, OpenError> {
        options.open_engine(Box::new(Bare::new()?))
    }

    fn survives_closing(&self) -> bool {
        false
    }
}

mod mapped {
    log_facade::conformance_tests!(super::Directory::new(|options| options));
}

mod mapped_for_writing_too {
    log_facade::conformance_tests!(super::Directory::new(|options| options.mapped_writing(true)));
}

mod wal {
    log_facade::conformance_tests!(super::Directory::new(
        |options| options.mapped_reading(false)
    ));
}

mod memory {
    log_facade::conformance_tests!(super::Memory);
}

mod wal_on_files_in_memory {
    log_facade::conformance_tests!(super::On(super::MemStorage::new()));
}

mod wal_on_a_simulated_disk {
    log_facade::conformance_tests!(super::On(super::SimStorage::new(1)));
}

mod of_somebody {
    log_facade::conformance_tests!(super::OfSomebody);
}

/// What would have to wait is refused before anything happened; the rest is
/// done.
#[test]
fn tasks_are_refused_by_an_engine_without_futures_and_nothing_is_appended() {
    let engine = Box::new(Bare::new().unwrap());
    let log = Log::options().open_engine(engine).unwrap();
    let log = AsyncLog::new(log).unwrap();
    let level = log.keeps();
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.unwrap().block_on(async {
        let one = log.append_to(level, b"a").await;
        let batch = log.append_batch_to(level, &[b"a", b"b"]).await;
        for refused in [one.map(drop), batch.map(drop)] {
            assert!(
                matches!(refused, Err(AppendError::Commit(CommitError::NoFutures))),
                "{refused:?}"
            );
        }
        assert_eq!(log.next_lsn(), Lsn(0));
        assert_eq!(log.as_log().append(b"from a thread").unwrap(), Lsn(0));
        let record = log.read(Lsn(0)).await.unwrap().unwrap();
        assert_eq!(record.payload(), b"from a thread");
    });
}
