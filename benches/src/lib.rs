//! What the benches of logs share.
//!
//! The machine that benches run on is seldom alone, so an absolute number says
//! little. What holds from run to run are ratios: everybody who is compared
//! takes turns in the same run, round after round ([`contest`]), beside
//! *floors* ([`floor`]): what no log can do without. Files lie on a real disk
//! ([`scratch`]), and what the disk was asked to do is counted ([`device`]).
//!
//! With the feature `peers`, other people's logs take part; with `io-uring`, that
//! way to sync.

pub mod commits;
pub mod contest;
pub mod damage;
pub mod device;
pub mod effort;
pub mod floor;
pub mod latency;
pub mod logs;
pub mod memory;
pub mod scratch;
pub mod writers;

#[cfg(feature = "peers")]
pub mod peers;
#[cfg(all(feature = "io-uring", target_os = "linux"))]
pub mod ring;
