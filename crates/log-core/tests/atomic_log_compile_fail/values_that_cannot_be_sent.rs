use std::rc::Rc;

use log_core::AtomicLog;

fn main() {
    let log = AtomicLog::<Rc<u8>>::new(4, 2);
    std::thread::spawn(move || drop(log));
}
