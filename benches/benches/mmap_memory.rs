//! How much memory do reading and writing a mapped log take?
//!
//! Pages of a mapped file count for the process that looks at them, and are the
//! system's to take back at any time; so there are two numbers.

use std::any::Any;
use std::hint::black_box;
use std::path::Path;

use log_benches::effort::Effort;
use log_benches::memory::{Task, compare, is_second_process};
use log_benches::scratch;
use log_mmap::{Follower, Lsn, Reader, Store, StoreOptions};

const RECORDS: u64 = 1_000_000;
const PAYLOAD: [u8; 256] = [7; 256];

const READING: &[Task] = &[
    Task {
        name: "nothing",
        run: |_| Box::new(()),
    },
    Task {
        name: "open",
        run: |directory| Box::new(reader(directory)),
    },
    Task {
        name: "read all in order",
        run: |directory| {
            let reader = reader(directory);
            assert!(reader.iter().all(|record| record.is_ok()));
            Box::new(reader)
        },
    },
    Task {
        name: "read each hundredth by its number",
        run: |directory| {
            let reader = reader(directory);
            for lsn in (0..reader.next_lsn().0).step_by(100) {
                black_box(reader.read(Lsn(lsn)).expect("it is whole"));
            }
            Box::new(reader)
        },
    },
    Task {
        name: "follow all of it",
        run: |directory| {
            let mut follower = Follower::open(directory, Lsn(0)).expect("it opens");
            while follower.poll().expect("the log is sound").is_some() {}
            Box::new(follower)
        },
    },
];

const WRITING: &[Task] = &[
    Task {
        name: "nothing",
        run: |_| Box::new(()),
    },
    Task {
        name: "append, by calls",
        run: |_| append(StoreOptions::default()),
    },
    Task {
        name: "append, through a mapping",
        run: |_| append(StoreOptions::default().mapped_writing(true)),
    },
];

fn reader(directory: &Path) -> Reader {
    Reader::open(directory).expect("it opens")
}

/// To a log of its own.
fn append(options: StoreOptions) -> Box<dyn Any> {
    let directory = scratch::directory();
    let store = Store::open(directory.path(), options).expect("a fresh log opens");
    for _ in 0..RECORDS {
        store.append(&PAYLOAD).expect("there is room");
    }
    Box::new((store, directory))
}

fn main() {
    if is_second_process(READING) || is_second_process(WRITING) {
        return;
    }
    let effort = Effort::from_args();
    let directory = scratch::directory();
    let store = Store::open(directory.path(), StoreOptions::default());
    let store = store.expect("a fresh log opens");
    for _ in 0..effort.scaled(RECORDS) {
        store.append(&PAYLOAD).expect("there is room");
    }
    store.close().expect("the disk works");
    compare(
        &effort,
        "memory to read 1 M records of 256 B",
        READING,
        directory.path(),
    );
    compare(
        &effort,
        "memory to append 1 M records of 256 B",
        WRITING,
        directory.path(),
    );
}
