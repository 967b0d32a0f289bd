//! `strata recover`: what can be done with a damaged log.

use std::io::{BufWriter, Write};

use log_facade::{CutReport, Log, LogOptions, ReadError, RecoveryPolicy, Salvage, Verify};

use crate::args::RecoverArgs;
use crate::failure::{self, Failure, Verdict};
use crate::output::{self, count};
use crate::report;

const WRITE_BYTES: usize = 256 << 10;

pub(crate) fn run(args: &RecoverArgs) -> Result<Verdict, Failure> {
    let salvage = Salvage::open(&args.log);
    let salvage = salvage.map_err(|error| Failure::open(&args.log, &error.into()))?;
    if args.salvage {
        return write_records(args, &salvage);
    }
    let Some(plan) = salvage.cut_plan() else {
        let log = args.log.display();
        output::print(&format!("{log}: sound, there is nothing to recover\n"))?;
        return Ok(Verdict::Fine);
    };
    if args.cut {
        return cut(args);
    }
    let damage: String = plan.damage.iter().map(report::damage_line).collect();
    output::print(&format!(
        "{damage}{}: {} can be read\n`--salvage` writes them to stdout, and changes nothing\n\
         `--cut` would end the log at record {}, and discard\n{}",
        args.log.display(),
        count(salvage.report().records, "record"),
        plan.end,
        discarded(&plan),
    ))?;
    Ok(Verdict::DamageFound)
}

/// As the writer that it is while it does so.
fn cut(args: &RecoverArgs) -> Result<Verdict, Failure> {
    let options: LogOptions = Log::options()
        .verify(Verify::All)
        .recovery(RecoveryPolicy::CutToLastGood);
    let log = options.open(&args.log);
    let log = log.map_err(|error| Failure::open(&args.log, &error))?;
    let said = match &log.report().cut {
        Some(cut) => format!(
            "{}: cut, the next record is {}; discarded\n{}",
            args.log.display(),
            cut.end,
            discarded(cut)
        ),
        // Somebody else was faster.
        None => format!("{}: opens\n", args.log.display()),
    };
    log.close()?;
    output::print(&said)?;
    Ok(Verdict::DamageFound)
}

/// What a cut takes, a line for each file.
fn discarded(cut: &CutReport) -> String {
    let line = |file: &log_facade::Discarded| {
        let lsns = match file.end {
            Some(end) if end <= file.lsn => "no record".to_owned(),
            Some(end) => format!("records {} to {}", file.lsn, end.0 - 1),
            None => format!("records from {} on, nobody knows how many", file.lsn),
        };
        format!(
            "  {}: {lsns}, {} of them whole; {}\n",
            file.path.display(),
            file.whole_records,
            count(file.bytes, "byte")
        )
    };
    cut.discarded.iter().map(line).collect()
}

fn write_records(args: &RecoverArgs, salvage: &Salvage) -> Result<Verdict, Failure> {
    let mut stdout = BufWriter::with_capacity(WRITE_BYTES, output::unbuffered()?);
    for item in salvage.iter() {
        match item {
            Ok(record) => {
                if !output::unless_closed(stdout.write_all(record.payload()))? {
                    break;
                }
            }
            Err(ReadError::Damaged(damage)) => {
                failure::note("recover", report::damage_line(&damage).trim_end());
            }
            Err(error) => {
                output::unless_closed(stdout.flush())?;
                return Err(Failure::read(&args.log, &error));
            }
        }
    }
    output::unless_closed(stdout.flush())?;
    Ok(match salvage.report().damage.is_empty() {
        true => Verdict::Fine,
        false => Verdict::DamageFound,
    })
}
