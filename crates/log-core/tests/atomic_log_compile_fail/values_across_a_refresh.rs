use log_core::AtomicLog;

fn main() {
    let (mut writer, log) = AtomicLog::new_claimed(4, 2);
    writer.append(String::from("held"));
    let mut snapshot = log.snapshot();
    let slice = snapshot.chunks().next();
    snapshot.refresh();
    println!("{slice:?}");
}
