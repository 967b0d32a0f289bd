use std::cell::Cell;

use log_core::AtomicLog;

fn main() {
    let (_writer, log) = AtomicLog::<Cell<u8>>::new_claimed(4, 2);
    let snapshot = log.snapshot();
    std::thread::spawn(move || drop(snapshot));
}
