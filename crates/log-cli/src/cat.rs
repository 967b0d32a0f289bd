//! `strata cat`: the payloads, one behind the other.

use std::io::{BufWriter, Write};

use log_facade::LogReader;

use crate::args::CatArgs;
use crate::failure::{Failure, Verdict};
use crate::output;

/// How much goes to stdout in one write, unless a record is longer. Small
/// enough to stay in the processor's second cache.
const WRITE_BYTES: usize = 256 << 10;

pub(crate) fn run(args: &CatArgs) -> Result<Verdict, Failure> {
    let reader = LogReader::open(&args.log).map_err(|error| Failure::open(&args.log, &error))?;
    let from = args.from.unwrap_or_else(|| reader.first_lsn());
    let limit = args.limit.map_or(usize::MAX, |limit| {
        usize::try_from(limit).unwrap_or(usize::MAX)
    });
    let mut stdout = BufWriter::with_capacity(WRITE_BYTES, output::unbuffered()?);
    for record in reader.iter_from(from).take(limit) {
        match record {
            Ok(record) => {
                if !output::unless_closed(stdout.write_all(record.payload()))? {
                    return Ok(Verdict::Fine);
                }
            }
            Err(error) => {
                // What could be read is worth having.
                output::unless_closed(stdout.flush())?;
                return Err(Failure::read(&args.log, &error));
            }
        }
    }
    output::unless_closed(stdout.flush())?;
    Ok(Verdict::Fine)
}
