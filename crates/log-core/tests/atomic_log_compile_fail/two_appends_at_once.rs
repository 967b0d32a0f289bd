use log_core::AtomicLog;

fn main() {
    let (mut writer, _log) = AtomicLog::new_claimed(4, 2);
    std::thread::scope(|scope| {
        scope.spawn(|| writer.append(1));
        scope.spawn(|| writer.append(2));
    });
}
