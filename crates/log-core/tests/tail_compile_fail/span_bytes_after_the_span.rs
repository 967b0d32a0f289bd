//! A span is what keeps its bytes.

use log_core::{Cursor, Tail};

fn keeps_the_bytes<'a>(tail: &'a Tail<()>, cursor: &'a mut Cursor<()>) -> &'a [u8] {
    let span = tail.next_span(cursor).unwrap();
    span.bytes()
}

fn main() {}
