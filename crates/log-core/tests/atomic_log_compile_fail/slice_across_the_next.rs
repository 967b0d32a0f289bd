use log_core::AtomicLog;

fn main() {
    let (mut writer, log) = AtomicLog::new_claimed(4, 2);
    writer.append(1);
    let mut follower = log.follow();
    let first = follower.next_slice();
    let second = follower.next_slice();
    println!("{first:?} {second:?}");
}
