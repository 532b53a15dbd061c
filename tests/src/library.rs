//! Where the scripts are.

use crate::script::Script;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The directory of scripts.
pub fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts")
}

/// Every script, in the order of names, those of regressions last.
pub fn all() -> Result<Vec<PathBuf>, String> {
    let mut scripts = Vec::new();
    let folders = [directory(), directory().join("regressions")];
    for directory in folders.into_iter().filter(|folder| folder.is_dir()) {
        let entries = fs::read_dir(&directory)
            .map_err(|error| format!("{}: {error}", directory.display()))?;
        let paths = entries.filter_map(|entry| entry.ok().map(|entry| entry.path()));
        let mut found: Vec<PathBuf> = paths
            .filter(|path| path.extension().is_some_and(|e| e == "script"))
            .collect();
        found.sort();
        scripts.append(&mut found);
    }
    Ok(scripts)
}

/// Reads one; also gives its text.
pub fn read(path: &Path) -> Result<(Script, String), String> {
    let source =
        fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let script = Script::read(&format!("{}.script", name_of(path)), &source)
        .map_err(|error| error.to_string())?;
    Ok((script, source))
}

/// How a script is called: `0199-ping`, `regressions/what-went-wrong`.
pub fn name_of(path: &Path) -> String {
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    if path
        .parent()
        .is_some_and(|parent| parent.ends_with("regressions"))
    {
        return format!("regressions/{name}");
    }
    name.into_owned()
}
