//! A place is published once.

use log_core::{Need, Tail, Word};

fn publishes_twice(tail: &Tail<()>, need: Need) {
    let place = tail.reserve(need).unwrap();
    place.publish(Word::new(0));
    place.publish(Word::new(0));
}

fn main() {}
