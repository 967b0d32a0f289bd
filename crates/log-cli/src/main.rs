//! `strata`: an append-only record log at a terminal.
//!
//! I promise that what goes in as lines comes out as the same bytes, that
//! every failure is one line that names the file, and that the exit code says
//! what happened (see [`failure`]). I refuse to know how a log is laid out or
//! kept safe: that is log-facade's, and what is beneath it.

#![forbid(unsafe_code)]
// `println!` and its kin panic on a closed pipe.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod args;
mod failure;
mod input;
mod lines;
mod moment;
mod output;
mod progress;
mod report;

mod cat;
mod compact;
mod ingest;
mod recover;
mod stat;
mod verify;

use std::process::ExitCode;

use clap::Parser;

use args::{Args, Command};

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(refusal) => return failure::usage(&refusal),
    };
    let name = args.command.name();
    let outcome = match args.command {
        Command::Ingest(args) => ingest::run(&args),
        Command::Cat(args) => cat::run(&args),
        Command::Stat(args) => stat::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Recover(args) => recover::run(&args),
        Command::Compact(args) => compact::run(&args),
    };
    failure::exit_code(name, outcome)
}
