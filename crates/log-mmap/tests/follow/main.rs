//! Following a log that somebody writes: what is shown, when, and what happens
//! when one side dies.

mod pieces;
mod processes;
mod support;
mod turns;
