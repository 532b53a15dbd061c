//! The server's side of the control socket.

use super::{Place, protocol::Answer};
use crate::{
    desk::Desk,
    limits::{REQUEST_BYTES_MAX, REQUEST_WAIT_MAX, REQUESTS_MAX},
};
use anyhow::{Context, Result};
use std::{
    fs::{self, Permissions},
    io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
    sync::Semaphore,
    task::spawn_blocking,
    time::timeout,
};
use tracing::{debug, warn};

/// The socket; its file goes with it.
pub(crate) struct Control {
    listener: UnixListener,
    path: PathBuf,
}

impl Control {
    /// Binds the socket. The caller holds the store's lock, so a file of that name was left by a server
    /// that died.
    pub(crate) fn bind(data_dir: &Path) -> Result<Control> {
        let path = data_dir.join("control.sock");
        let listener = bind_privately(data_dir, &path)
            .with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Control { listener, path })
    }

    /// Answers requests for as long as it is polled.
    pub(crate) async fn serve(self, desk: Arc<Desk>) {
        let places = Arc::new(Semaphore::new(REQUESTS_MAX));
        while let Ok(place) = places.clone().acquire_owned().await {
            match self.listener.accept().await {
                Ok((socket, _)) => {
                    let desk = desk.clone();
                    tokio::spawn(async move {
                        if let Err(error) = serve_one(socket, desk).await {
                            debug!(%error, "a request at the control socket failed");
                        }
                        drop(place);
                    });
                }
                Err(error) => {
                    warn!(%error, "cannot accept at the control socket");
                    tokio::time::sleep(REQUEST_WAIT_MAX).await;
                }
            }
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Under another name first: nobody finds a socket with the wrong mode under its own.
fn bind_privately(data_dir: &Path, path: &Path) -> io::Result<UnixListener> {
    let new = data_dir.join("control.new");
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&Place::of(data_dir, "control.new")?.path)?;
    fs::set_permissions(&new, Permissions::from_mode(0o600))?;
    fs::rename(&new, path)?;
    Ok(listener)
}

async fn serve_one(mut socket: UnixStream, desk: Arc<Desk>) -> Result<()> {
    let line = timeout(REQUEST_WAIT_MAX, read_line(&mut socket))
        .await
        .context("the request took too long")??;
    // Keys take time to derive, and the card takes time to write.
    let answer = spawn_blocking(move || match serde_json::from_slice(&line) {
        Ok(request) => desk.answer(&request),
        Err(_) => {
            Answer::Refused("the running server does not know this command: restart it".to_owned())
        }
    })
    .await?;
    let mut line = serde_json::to_vec(&answer)?;
    line.push(b'\n');
    timeout(REQUEST_WAIT_MAX, socket.write_all(&line))
        .await
        .context("nobody reads the answer")??;
    Ok(())
}

/// One line, or the start of one that is too long, which then is no JSON.
async fn read_line(socket: &mut UnixStream) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    BufReader::new(socket)
        .take(REQUEST_BYTES_MAX)
        .read_until(b'\n', &mut line)
        .await?;
    Ok(line)
}
