//! The storage that the tests of a binary keep their logs in.

use std::sync::Arc;

use log_wal::{OpenError, Wal, WalReader};

pub(crate) use crate::TestStorage;
use crate::common::{Files, small};

pub(crate) fn open(storage: &TestStorage) -> Wal {
    Wal::with_storage(Arc::new(storage.clone()), small()).expect("the log opens")
}

pub(crate) fn try_open(files: &Files) -> Result<Wal, OpenError> {
    let storage = TestStorage::with_files(files.clone());
    Wal::with_storage(Arc::new(storage), small())
}

pub(crate) fn try_open_read_only(files: &Files) -> Result<WalReader, OpenError> {
    WalReader::with_storage(Arc::new(TestStorage::with_files(files.clone())))
}
