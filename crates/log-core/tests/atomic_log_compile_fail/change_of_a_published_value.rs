use log_core::AtomicLog;

fn main() {
    let (mut writer, log) = AtomicLog::new_claimed(4, 2);
    writer.append(1);
    for value in &log.snapshot() {
        *value += 1;
    }
}
