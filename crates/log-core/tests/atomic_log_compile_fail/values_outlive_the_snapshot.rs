use log_core::AtomicLog;

fn main() {
    let (mut writer, log) = AtomicLog::new_claimed(4, 2);
    writer.append(String::from("held"));
    let snapshot = log.snapshot();
    let value = snapshot.iter().next();
    drop(snapshot);
    println!("{value:?}");
}
