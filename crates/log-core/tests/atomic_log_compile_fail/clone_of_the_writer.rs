use log_core::AtomicLog;

fn main() {
    let (writer, _log) = AtomicLog::<u8>::new_claimed(4, 2);
    let _second = writer.clone();
}
