//! The tool as its users meet it: the real binary, real files, real pipes and
//! real kills. Everything random is seeded.

mod support;

mod acknowledge;
mod compact;
mod damage;
mod follow;
mod kill;
mod read;
mod refuse;
mod round_trip;
