//! One process writes, another one follows, without a lock between them and
//! without a system call for each record.
//!
//! ```text
//! cargo run -p log-mmap --example tail_process
//! ```
//!
//! It starts itself a second time for the process that follows.

use std::env;
use std::error::Error;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use log_mmap::{Lsn, Reader, Store, StoreOptions};

type Outcome = Result<(), Box<dyn Error>>;

/// Names the directory to follow.
const FOLLOW: &str = "STRATA_EXAMPLE_FOLLOW";
const RECORDS: u64 = 1_000;

/// In the other process.
fn follow(directory: &Path) -> Outcome {
    let mut follower = Reader::open(directory)?.follow(Lsn(0))?;
    for lsn in 0..RECORDS {
        let record = follower.next_timeout(Duration::from_secs(60))?;
        let record = record.ok_or("the writer has gone")?;
        assert_eq!(record.lsn(), Lsn(lsn), "each once, in order");
        assert_eq!(record.payload(), lsn.to_le_bytes());
    }
    println!("followed {RECORDS} records");
    Ok(())
}

fn write(directory: &Path) -> Outcome {
    // What is appended is in the file at once, where others see it.
    let options = StoreOptions::default().mapped_writing(true);
    let store = Store::open(directory, options)?;
    let mut other = Command::new(env::current_exe()?)
        .env(FOLLOW, directory)
        .spawn()?;
    for lsn in 0..RECORDS {
        store.append(&lsn.to_le_bytes())?;
    }
    assert!(other.wait()?.success(), "it saw everything");
    Ok(store.close()?)
}

fn main() -> Outcome {
    match env::var_os(FOLLOW) {
        Some(directory) => follow(directory.as_ref()),
        None => write(tempfile::tempdir()?.path()),
    }
}

#[test]
fn another_process_sees_every_record_in_order() -> Outcome {
    main()
}
