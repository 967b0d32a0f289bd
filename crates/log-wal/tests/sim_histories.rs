//! Histories of crashes: whatever was promised is kept, and the log goes on.

mod lab;

use lab::{Tally, play};

#[test]
fn no_history_of_crashes_breaks_a_promise() {
    let mut tally = Tally::default();
    for seed in 0..1500 {
        match play(seed) {
            Ok(more) => tally += more,
            Err(broken) => panic!("{broken}"),
        }
    }
    println!("{tally:?}");
    // A lab in which nothing happens proves nothing.
    assert!(tally.power_losses > 2000 && tally.second_crashes > 500);
    assert!(tally.acknowledged > 10_000 && tally.discarded > 5_000);
    assert!(tally.torn_tails > 200 && tally.rotations > 500);
    assert!(tally.poisoned > 100 && tally.disk_full > 20);
}
