//! What can be asked for. These texts are the manual: `docs/CLI.md` adds the
//! layout of the JSON.

use std::path::PathBuf;

use clap::builder::RangedU64ValueParser;
use clap::{Parser, Subcommand, ValueEnum};

use log_facade::{Lsn, Timestamp};

use crate::moment;

/// An append-only record log at a terminal: ingest lines, write them back,
/// look at a log, check it.
///
/// A log is a directory. Its records are byte strings, numbered 0, 1, 2, ...;
/// the number of a record is its lsn. One process writes a log at a time; any
/// number read it meanwhile.
#[derive(Debug, Parser)]
#[command(name = "strata", version, arg_required_else_help = true, after_long_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Examples:
  strata ingest app.log --log ./events        store each line of a file
  strata cat --log ./events                   write them all back
  strata stat --log ./events                  what is in the log
  strata verify --log ./events                check every frame of it
  strata recover --log ./events               what can be done if it is damaged
  strata compact --log ./prices --dry-run     what compaction by key would free

Exit codes:
  0  done; for `verify`: the log is sound
  1  `verify` found damage, or `recover` could not keep or give everything
  2  could not be done; one line on stderr says why

`strata <command> --help` tells all about a command.";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Ingest(IngestArgs),
    Cat(CatArgs),
    Stat(StatArgs),
    Verify(VerifyArgs),
    Recover(RecoverArgs),
    Compact(CompactArgs),
}

impl Command {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Ingest(_) => "ingest",
            Self::Cat(_) => "cat",
            Self::Stat(_) => "stat",
            Self::Verify(_) => "verify",
            Self::Recover(_) => "recover",
            Self::Compact(_) => "compact",
        }
    }
}

/// Append each line of a file as a record
///
/// A record is a line with its line ending (LF or CRLF), byte for byte, so
/// that `strata cat` gives the same bytes back. Bytes need not be text; the
/// last line may lack its ending. The log is created if there is none, and
/// continued if there is one.
///
/// When the command ends with exit code 0, everything is durable, whatever
/// --ack says. If it is killed, every record that was acknowledged is in the
/// log, and run again it continues behind the last record. If it fails, what
/// it has appended so far stays.
#[derive(Debug, clap::Args)]
#[command(after_long_help = INGEST_EXAMPLES)]
pub(crate) struct IngestArgs {
    /// The file to read; `-` is standard input
    #[arg(default_value = "-")]
    pub file: PathBuf,

    /// The log's directory
    #[arg(long, value_name = "DIR")]
    pub log: PathBuf,

    /// How safe a record is when it is acknowledged
    #[arg(long, value_name = "LEVEL", value_enum, default_value_t = Ack::Written)]
    pub ack: Ack,

    /// Acknowledge after every N lines
    ///
    /// Each wait for an acknowledgement covers N records; they stay separate
    /// records. Where the input is a pipe or a terminal and pauses, what has
    /// come is acknowledged at once. `--ack durable --batch 1` waits for the
    /// disk after each line.
    #[arg(long, value_name = "N", default_value_t = 1024, value_parser = RangedU64ValueParser::<u64>::new().range(1..))]
    pub batch: u64,

    /// Give each record the time at which it is appended
    ///
    /// `strata cat --from-time` finds it by that. Takes 8 bytes a record.
    #[arg(long)]
    pub stamp: bool,

    /// Write the end of what is acknowledged to stdout, each time
    ///
    /// After each acknowledgement one line with a number: every record of the
    /// log with a smaller lsn is acknowledged. The line is written at once. The
    /// summary goes to stderr. If nobody reads stdout any more, the records are
    /// stored all the same.
    #[arg(long)]
    pub report_acks: bool,

    /// Size of a segment file, 16KiB to 4GiB [default: 16MiB]
    ///
    /// A number of bytes, or with a unit: KiB, MiB, GiB. Segments that exist
    /// keep their size.
    #[arg(long, value_name = "SIZE", value_parser = segment_bytes)]
    pub segment_bytes: Option<u64>,

    /// Refuse lines longer than this, up to 256MiB less one byte
    ///
    /// A number of bytes, or with a unit: KiB, MiB, GiB. The line ending
    /// counts.
    #[arg(long, value_name = "SIZE", default_value_t = RECORD_BYTES_MAX, hide_default_value = true, value_parser = record_bytes)]
    pub record_bytes_max: u64,
}

const INGEST_EXAMPLES: &str = "\
Examples:
  strata ingest app.log --log ./events
  journalctl -f | strata ingest - --log ./events --ack durable --stamp
  producer | strata ingest --log ./events --batch 100 --report-acks | consumer

The summary: records and bytes read, seconds and MB/s (1 MB is 1,000,000 bytes)
until all is durable, fsyncs (files and directories), segments of the log, lsn of
the first record of this run, and next lsn of the log.";

/// How safe a record is when it is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Ack {
    /// It has its number; lost if this process dies
    Published,
    /// The operating system has it: survives the death of this process
    Written,
    /// It is on stable storage: survives power loss
    Durable,
}

impl Ack {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::Written => "written",
            Self::Durable => "durable",
        }
    }
}

/// Write records to stdout, byte for byte
///
/// Nothing is put between records: what `strata ingest` read comes back as it
/// was. Works beside a running writer and shows what it had written when the
/// command started, or with --follow what it writes from then on as well. Each
/// record's checksum is verified before it is written.
#[derive(Debug, clap::Args)]
#[command(after_long_help = CAT_EXAMPLES)]
pub(crate) struct CatArgs {
    /// The log's directory
    #[arg(long, value_name = "DIR")]
    pub log: PathBuf,

    /// Begin at this record; behind the end there is nothing [default: the first]
    #[arg(long, value_name = "LSN", value_parser = lsn)]
    pub from: Option<Lsn>,

    /// Begin at the first record that was appended at this moment or later
    ///
    /// `2026-03-14T15:09:26Z` (or with an offset), `2026-03-14` for its first
    /// moment in UTC, or `@` and the seconds since 1970. Records that have no
    /// time (see `ingest --stamp`) are passed over. Clocks may jump: of the
    /// records behind it some may be earlier.
    #[arg(long, value_name = "MOMENT", value_parser = moment::parse, conflicts_with = "from")]
    pub from_time: Option<Timestamp>,

    /// Write at most N records
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,

    /// At the end, wait for what is written next, until killed
    ///
    /// Also when its writer ends and another one begins. Shows what is written,
    /// which survives the death of the writer, but not yet a loss of power.
    /// Ends at --limit, when nobody reads stdout any more, and with exit code 2
    /// when records were dropped or discarded before or after it could show
    /// them.
    #[arg(long, short = 'f')]
    pub follow: bool,
}

const CAT_EXAMPLES: &str = "\
Examples:
  strata cat --log ./events > app.log
  strata cat --log ./events --from 1000 --limit 10
  strata cat --log ./events --from-time 2026-03-14T15:00:00Z
  strata cat --log ./events --follow | consumer";

/// Show what is in a log
///
/// Reads the newest segment and the headers of the others. Works beside a
/// running writer; writes nothing.
#[derive(Debug, clap::Args)]
pub(crate) struct StatArgs {
    /// The log's directory
    #[arg(long, value_name = "DIR")]
    pub log: PathBuf,

    /// As JSON; docs/CLI.md describes it
    #[arg(long)]
    pub json: bool,
}

/// Check every frame of a log
///
/// Prints each damage with its file, its place, the first record that is
/// affected, and the case of the recovery table (docs/RECOVERY.md). A torn tail
/// that was never acknowledged as durable is no damage. Works beside a running
/// writer; writes nothing.
///
/// Exit codes: 0 sound, 1 damage found, 2 could not run.
#[derive(Debug, clap::Args)]
pub(crate) struct VerifyArgs {
    /// The log's directory
    #[arg(long, value_name = "DIR")]
    pub log: PathBuf,

    /// As JSON; docs/CLI.md describes it
    #[arg(long)]
    pub json: bool,
}

/// Show what is left of a damaged log, cut it, or take out what is readable
///
/// Without --cut or --salvage this only looks: it prints each damage with the
/// records that it takes, and what --cut would discard. Copy the directory
/// before you cut it; a copy of the damaged file from a backup is better than
/// both.
///
/// Exit codes: 0 nothing is or was lost, 1 something is, 2 could not run.
#[derive(Debug, clap::Args)]
#[command(after_long_help = RECOVER_EXAMPLES)]
pub(crate) struct RecoverArgs {
    /// The log's directory
    #[arg(long, value_name = "DIR")]
    pub log: PathBuf,

    /// End the log in front of the first damage; discards what is behind it,
    /// whole records too, for good
    #[arg(long, conflicts_with = "salvage")]
    pub cut: bool,

    /// Write every record that can be read to stdout, byte for byte, and what
    /// is lost to stderr; the log stays as it is
    #[arg(long)]
    pub salvage: bool,
}

const RECOVER_EXAMPLES: &str = "\
Examples:
  strata recover --log ./events
  strata recover --log ./events --salvage > readable.log
  strata recover --log ./events --cut";

/// Of the records with one key, keep the newest only
///
/// For logs of records that a program gave keys; lines that `ingest` stored have
/// none, and stay. Looks at the sealed segments only, and never at the newest
/// one. Numbers do not change: those of the records that went have none any
/// more. What a pinned cursor keeps stays too, and so does a record that only
/// says that its key is gone.
///
/// Takes the log as its one writer. Can be killed at any moment and run again:
/// each segment is the old one or the new one, whole.
#[derive(Debug, clap::Args)]
#[command(after_long_help = COMPACT_EXAMPLES)]
pub(crate) struct CompactArgs {
    /// The log's directory
    #[arg(long, value_name = "DIR")]
    pub log: PathBuf,

    /// Touch no segment that has this record or a later one [default: all that
    /// are sealed]
    #[arg(long, value_name = "LSN", value_parser = lsn)]
    pub before: Option<Lsn>,

    /// Only say what would be done; works beside a running writer
    #[arg(long)]
    pub dry_run: bool,
}

const COMPACT_EXAMPLES: &str = "\
Examples:
  strata compact --log ./prices --dry-run
  strata compact --log ./prices --before 100000";

fn lsn(text: &str) -> Result<Lsn, String> {
    let number = text.parse().map(Lsn);
    number.map_err(|_| "an lsn is a number: 0, 1, 2, ...".to_owned())
}

/// The library's own limits, said here so that a size outside is refused
/// instead of corrected.
const SEGMENT_BYTES_MIN: u64 = 16 << 10;
const SEGMENT_BYTES_MAX: u64 = 4 << 30;
const RECORD_BYTES_MAX: u64 = (256 << 20) - 1;

fn segment_bytes(text: &str) -> Result<u64, String> {
    let bytes = size_bytes(text)?;
    match (SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX).contains(&bytes) {
        true => Ok(bytes),
        false => Err("a segment has 16KiB to 4GiB".to_owned()),
    }
}

fn record_bytes(text: &str) -> Result<u64, String> {
    let bytes = size_bytes(text)?;
    match (1..=RECORD_BYTES_MAX).contains(&bytes) {
        true => Ok(bytes),
        false => Err(format!("a record has 1 to {RECORD_BYTES_MAX} bytes")),
    }
}

fn size_bytes(text: &str) -> Result<u64, String> {
    let units = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];
    let with_unit = units
        .iter()
        .find_map(|(name, unit)| Some((text.strip_suffix(name)?, *unit)));
    let (digits, unit) = with_unit.unwrap_or((text, 1));
    let bytes = digits
        .trim()
        .parse()
        .ok()
        .and_then(|number: u64| number.checked_mul(unit));
    bytes.ok_or_else(|| "a size is a number of bytes, or one with KiB, MiB or GiB".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_parser_agrees_with_itself() {
        Args::command().debug_assert();
    }

    #[test]
    fn sizes_are_bytes_or_have_a_binary_unit() {
        for (text, bytes) in [
            ("0", 0),
            ("4096", 4096),
            ("16KiB", 16_384),
            ("3 MiB", 3 << 20),
            ("4GiB", 4 << 30),
        ] {
            assert_eq!(size_bytes(text), Ok(bytes), "{text}");
        }
        for text in ["", "KiB", "-1", "1.5MiB", "10MB", "18446744073709551615KiB"] {
            assert!(size_bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_size_outside_the_limits_is_refused_and_not_corrected() {
        for text in ["16383", "5GiB"] {
            assert!(segment_bytes(text).is_err(), "{text}");
        }
        for text in ["0", "256MiB"] {
            assert!(record_bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_line_may_be_as_long_as_the_longest_record() {
        let args = Args::try_parse_from(["strata", "ingest", "--log", "dir"]).unwrap();
        let Command::Ingest(args) = args.command else {
            panic!("it is ingest");
        };
        assert_eq!(args.record_bytes_max, RECORD_BYTES_MAX);
        assert_eq!(args.file.as_os_str(), "-");
    }
}
