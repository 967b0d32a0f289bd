//! Writes the seeds and the dictionaries of the fuzz targets, in place of
//! those that are there; or, given a target and a file, shows the steps of that
//! input.

#![forbid(unsafe_code)]

use std::path::Path;
use std::process::ExitCode;
use std::{env, fs, io};

use log_fuzz::TARGETS;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let outcome = match arguments.as_slice() {
        [] => write_seeds(),
        [target, file] => show(target, file),
        _ => Err(io::Error::other("usage: log-fuzz [TARGET FILE]")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn show(name: &str, file: &str) -> io::Result<()> {
    let target = TARGETS.iter().find(|target| target.name == name);
    let target = target.ok_or_else(|| io::Error::other(format!("no target {name}")))?;
    print!("{}", (target.show)(&fs::read(file)?));
    Ok(())
}

fn write_seeds() -> io::Result<()> {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let seeds = fuzz.join("corpus-seeds");
    if seeds.is_dir() {
        fs::remove_dir_all(&seeds)?;
    }
    fs::create_dir_all(fuzz.join("dictionaries"))?;
    for target in TARGETS {
        let folder = seeds.join(target.name);
        fs::create_dir_all(&folder)?;
        for (name, bytes) in (target.seeds)() {
            fs::write(folder.join(name), bytes)?;
        }
        let dictionary = format!("dictionaries/{}.txt", target.name);
        fs::write(fuzz.join(dictionary), target.dictionary())?;
    }
    Ok(())
}
