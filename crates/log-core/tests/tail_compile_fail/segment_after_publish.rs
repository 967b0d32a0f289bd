//! The segment may be gone once the place is published.

use log_core::{Need, Tail, Word};

fn keeps_the_segment(tail: &Tail<()>, need: Need) -> usize {
    let place = tail.reserve(need).unwrap();
    let segment = place.segment();
    place.publish(Word::new(0));
    segment.capacity_bytes()
}

fn main() {}
