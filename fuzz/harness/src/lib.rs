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
#[rustfmt::skip]
pub const TARGETS: [Target; 7] = [
    Target { name: "frame",       run: frame::run,       show: frame::show,       seeds: frame::seeds,       tokens: frame::tokens        },
    Target { name: "header",      run: header::run,      show: header::show,      seeds: header::seeds,      tokens: header::tokens       },
    Target { name: "recovery",    run: recovery::run,    show: recovery::show,    seeds: recovery::seeds,    tokens: recovery::tokens     },
    Target { name: "operations",  run: operations::run,  show: operations::show,  seeds: operations::seeds,  tokens: operations::tokens   },
    Target { name: "index",       run: index::run,       show: index::show,       seeds: index::seeds,       tokens: index::tokens        },
    Target { name: "time_index",  run: time_index::run,  show: time_index::show,  seeds: time_index::seeds,  tokens: time_index::tokens   },
    Target { name: "envelope",    run: envelope::run,    show: envelope::show,    seeds: envelope::seeds,    tokens: envelope::tokens     },
];

impl Target {
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
