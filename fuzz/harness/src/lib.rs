//! What the fuzz targets do with their input.
//!
//! Each target is a module with a `run` that takes any bytes and panics when a
//! promise is broken. The programs in `fuzz/targets` hand it what libFuzzer
//! invents; the test of this crate hands it the seeds, on any compiler. It is
//! the same code.
//!
//! A fuzzer guesses no magic and no checksum. So inputs are rows of small
//! steps (`script`) that build something valid and then damage it in ways
//! that a random flip does not: a wrong number under a right checksum.
//!
//! `cargo run -p log-fuzz` writes the seeds and the dictionaries, and with the
//! name of a target and a file it shows the steps of that input.

#![forbid(unsafe_code)]

pub mod envelope;
pub mod frame;
pub mod header;
pub mod index;
pub mod operations;
pub mod recovery;
pub mod time_index;

mod image;
mod layout;
mod memory;
mod model;
mod policies;
mod script;

use script::Script;

/// A fuzz target.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// As `cargo fuzz run` knows it.
    pub name: &'static str,
    /// Panics if these bytes lead to a broken promise.
    pub run: fn(&[u8]),
    /// The steps of an input, one a line.
    pub show: fn(&[u8]) -> String,
    /// Inputs to begin with, by the name of what they show.
    pub seeds: fn() -> Vec<(&'static str, Vec<u8>)>,
    /// Steps for the fuzzer to put into inputs.
    pub tokens: fn() -> Vec<Vec<u8>>,
}

/// All of them.
pub const TARGETS: [Target; 7] = [
    Target::of::<frame::Step>("frame", frame::run),
    Target::of::<header::Step>("header", header::run),
    Target::of::<image::Step>("recovery", recovery::run),
    Target::of::<operations::Step>("operations", operations::run),
    Target::of::<index::Step>("index", index::run),
    Target::of::<time_index::Step>("time_index", time_index::run),
    Target::of::<envelope::Step>("envelope", envelope::run),
];

impl Target {
    const fn of<Step: Script>(name: &'static str, run: fn(&[u8])) -> Self {
        Self {
            name,
            run,
            show: script::show::<Step>,
            seeds: script::seeds::<Step>,
            tokens: script::tokens::<Step>,
        }
    }

    /// The tokens as libFuzzer's dictionary.
    #[must_use]
    pub fn dictionary(&self) -> String {
        let line = |token: Vec<u8>| {
            let escaped = token.iter().map(|byte| format!("\\x{byte:02x}"));
            format!("\"{}\"\n", escaped.collect::<String>())
        };
        (self.tokens)().into_iter().map(line).collect()
    }
}
