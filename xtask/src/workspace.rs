//! Where things are: the workspace, its target folder, its Rust files.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Outcome;

/// The folder of the workspace's manifest.
pub(crate) fn root() -> &'static Path {
    let own_manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    own_manifest.parent().unwrap_or(own_manifest)
}

/// Where cargo builds; `CARGO_TARGET_DIR` moves it.
pub(crate) fn target_dir() -> PathBuf {
    let named = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    root().join(named.unwrap_or_else(|| PathBuf::from("target")))
}

/// `path` as seen from the root, for people.
pub(crate) fn relative(path: &Path) -> &Path {
    path.strip_prefix(root()).unwrap_or(path)
}

/// Reads a text file of the workspace.
pub(crate) fn read(path: &Path) -> Outcome<String> {
    fs::read_to_string(path).map_err(|e| format!("{}: {e}", relative(path).display()))
}

/// Every `.rs` file below `folder`, in order of path; none if it is missing.
pub(crate) fn rust_files(folder: &Path) -> Outcome<Vec<PathBuf>> {
    let mut files = Vec::new();
    if folder.is_dir() {
        collect(folder, &mut files)?;
    }
    files.sort();
    Ok(files)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Outcome {
    let problem = |e: std::io::Error| format!("{}: {e}", relative(folder).display());
    for entry in fs::read_dir(folder).map_err(problem)? {
        let path = entry.map_err(problem)?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

/// Removes a folder and everything in it; a missing one is fine.
pub(crate) fn remove_dir(folder: &Path) -> Outcome {
    match fs::remove_dir_all(folder) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(format!("{}: {e}", relative(folder).display()))
        }
        _ => Ok(()),
    }
}
