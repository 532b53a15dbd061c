//! The control socket, `DATA_DIR/control.sock`: how commands talk to a running server.
//!
//! One connection is one request and its answer, each one line of JSON (`protocol.rs`). Who may open the
//! socket (mode 0600) may do everything; there is no other check.

pub(crate) mod ask;
pub(crate) mod listen;
pub(crate) mod protocol;

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};

/// Bytes of a socket's path that the system takes (`sun_path`), without the final zero.
const PATH_BYTES_MAX: usize = 107;

/// A way to reach a file of the data directory that is short enough for a socket address.
struct Place {
    path: PathBuf,
    /// Keeps a short way open.
    _directory: Option<File>,
}

impl Place {
    fn of(data_dir: &Path, name: &str) -> io::Result<Place> {
        let path = data_dir.join(name);
        if path.as_os_str().len() <= PATH_BYTES_MAX {
            return Ok(Place {
                path,
                _directory: None,
            });
        }
        let directory = File::open(data_dir)?;
        let number = std::os::fd::AsRawFd::as_raw_fd(&directory);
        Ok(Place {
            path: format!("/proc/self/fd/{number}/{name}").into(),
            _directory: Some(directory),
        })
    }
}
