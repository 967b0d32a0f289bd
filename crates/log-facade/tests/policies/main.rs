//! What a log does by itself, by a clock that the tests move.

mod fail;
mod flush;
mod options;
mod retain;
mod rotate;
mod stop;
mod support;
