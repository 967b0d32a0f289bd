//! The bytes are everybody's once they are published.

use log_core::{Need, Tail, Word};

fn keeps_the_bytes(tail: &Tail<()>, need: Need) {
    let mut place = tail.reserve(need).unwrap();
    let bytes = place.bytes_mut();
    place.publish(Word::new(0));
    bytes.fill(0);
}

fn main() {}
