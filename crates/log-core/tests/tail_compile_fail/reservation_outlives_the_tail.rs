//! A reservation must be published before its tail goes.

use log_core::{Need, Reservation, Tail};

fn outlives(tail: Tail<()>, need: Need) -> Reservation<'static, ()> {
    tail.reserve(need).unwrap()
}

fn main() {}
