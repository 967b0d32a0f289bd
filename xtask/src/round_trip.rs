//! `cargo xtask round-trip`: the main job on real files.
//!
//! Each file is ingested into a log of its own and written back; the bytes
//! must be the same, and `strata verify` must call the log sound.

use std::fs;
use std::path::{Path, PathBuf};

use crate::command::Line;
use crate::{Outcome, workspace};

/// Names a folder whose `*.log` files take the place of the repository's own.
const FILES_VARIABLE: &str = "STRATA_REAL_LOGS";

/// Files that every checkout has, for when there are no real logs at hand.
const OWN_FILES: [&str; 2] = ["README.md", "Cargo.lock"];

pub(crate) fn run(arguments: &[String]) -> Outcome {
    let files = match arguments {
        [] => default_files()?,
        named => named.iter().map(PathBuf::from).collect(),
    };
    Line::cargo("build --release --bin strata").run()?;
    let folder = workspace::target_dir().join("round-trip");
    workspace::remove_dir(&folder)?;
    fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    for file in &files {
        round_trip(file, &folder)?;
    }
    workspace::remove_dir(&folder)?;
    println!("{} files came back byte for byte", files.len());
    Ok(())
}

fn default_files() -> Outcome<Vec<PathBuf>> {
    let Some(folder) = std::env::var_os(FILES_VARIABLE).map(PathBuf::from) else {
        return Ok(OWN_FILES.map(|file| workspace::root().join(file)).to_vec());
    };
    let problem = |e: std::io::Error| format!("{FILES_VARIABLE}={}: {e}", folder.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(&folder).map_err(problem)? {
        let path = entry.map_err(problem)?.path();
        if path.extension().is_some_and(|extension| extension == "log") {
            files.push(path);
        }
    }
    files.sort();
    match files.is_empty() {
        true => Err(format!(
            "{FILES_VARIABLE}={}: no *.log file in it",
            folder.display()
        )),
        false => Ok(files),
    }
}

fn round_trip(file: &Path, folder: &Path) -> Outcome {
    let file = std::path::absolute(file).map_err(|e| format!("{}: {e}", file.display()))?;
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let log = folder.join(format!("{name}.strata"));
    let strata = |verb: &str| {
        let program = workspace::target_dir().join("release").join("strata");
        let line = Line::new(&workspace::relative(&program).to_string_lossy()).argument(verb);
        let line = if verb == "ingest" {
            line.argument(file.to_string_lossy())
        } else {
            line
        };
        line.argument("--log")
            .argument(workspace::relative(&log).to_string_lossy())
    };
    strata("ingest").run()?;
    let cat = strata("cat");
    cat.print();
    compare(&file, &cat.read()?)?;
    strata("verify").run()
}

/// An error that says where `found` differs from the file.
fn compare(file: &Path, found: &[u8]) -> Outcome {
    let expected = fs::read(file).map_err(|e| format!("{}: {e}", file.display()))?;
    if expected == found {
        return Ok(());
    }
    let same = expected
        .iter()
        .zip(found)
        .take_while(|(expected, found)| expected == found)
        .count();
    Err(format!(
        "{}: {} bytes went in, {} came out, the first difference is at byte {same}",
        file.display(),
        expected.len(),
        found.len(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_placed() {
        let file = workspace::root().join("Cargo.lock");
        let bytes = fs::read(&file).unwrap();
        assert_eq!(compare(&file, &bytes), Ok(()));
        let mut changed = bytes.clone();
        changed[7] ^= 1;
        assert!(compare(&file, &changed).unwrap_err().ends_with("at byte 7"));
        let cut = compare(&file, &bytes[..bytes.len() - 1]).unwrap_err();
        assert!(
            cut.ends_with(&format!("at byte {}", bytes.len() - 1)),
            "{cut}"
        );
    }
}
