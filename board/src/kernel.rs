//! The kernel's files, below a root that a test may put anywhere. Owns nothing.

use crate::limits::KERNEL_FILE_BYTES_MAX;
use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

/// Where `/sys`, `/proc` and `/dev` are.
#[derive(Clone, Debug)]
pub struct Kernel(PathBuf);

impl Kernel {
    /// `/` on a machine.
    pub fn at(root: impl Into<PathBuf>) -> Kernel {
        Kernel(root.into())
    }

    /// A path from there.
    pub fn path(&self, path: &str) -> PathBuf {
        self.0.join(path)
    }

    /// The board's name, without the nought that device trees end in; `None` where there is no device tree.
    pub fn model(&self) -> Option<String> {
        let model = read(&self.path("proc/device-tree/model")).ok()?;
        Some(model.trim_end_matches('\0').to_owned())
    }

    /// The folders in a folder, by name and in order; none where there is no such folder.
    pub fn folders(&self, path: &str) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.path(path)).into_iter().flatten();
        let mut found: Vec<_> = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .collect();
        found.sort();
        found
    }
}

/// A small text of the kernel's, without the line's end.
pub fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?
        .take(KERNEL_FILE_BYTES_MAX)
        .read_to_string(&mut text)?;
    text.truncate(text.trim_end().len());
    Ok(text)
}

/// Writes to a file that is there; none is ever made.
pub fn write(path: &Path, text: &str) -> io::Result<()> {
    use io::Write;
    let mut file = fs::OpenOptions::new()
        .write(true)
        .truncate(true)
        .open(path)?;
    file.write_all(text.as_bytes())
}
