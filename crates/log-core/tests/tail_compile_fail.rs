//! What must not compile.

#![cfg(not(any(log_loom, log_shuttle, miri)))]

#[test]
fn a_place_in_the_tail_cannot_be_used_after_it_was_published() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/tail_compile_fail/*.rs");
}
