//! What `ingest` reads: a file, or standard input.

use std::fs::File;
use std::io::{self, Seek};
use std::os::fd::AsFd;
use std::path::Path;

use crate::failure::Failure;

/// An open input, not read from yet.
#[derive(Debug)]
pub(crate) struct Input {
    /// What to call it in messages.
    pub name: String,
    pub file: File,
    /// How much there is to read, if that can be told.
    pub size_bytes: Option<u64>,
}

impl Input {
    /// `-` is standard input.
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        if path.as_os_str() == "-" {
            let stdin = io::stdin().as_fd().try_clone_to_owned().map(File::from);
            return Self::new("standard input".to_owned(), stdin);
        }
        Self::new(path.display().to_string(), File::open(path))
    }

    fn new(name: String, opened: io::Result<File>) -> Result<Self, Failure> {
        match opened.and_then(|file| size_bytes(&file).map(|size_bytes| (file, size_bytes))) {
            Ok((file, size_bytes)) => Ok(Self {
                name,
                file,
                size_bytes,
            }),
            Err(cause) => Err(Failure::io(&name, "read", &cause)
                .and("name a readable file, or `-` for standard input")),
        }
    }
}

/// How much of `file` is left, if it is not a pipe or a device.
fn size_bytes(file: &File) -> io::Result<Option<u64>> {
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if !metadata.is_file() {
        return Ok(None);
    }
    let position = (&*file).stream_position()?;
    Ok(Some(metadata.len().saturating_sub(position)))
}
