//! The command's side of the control socket; without a server, the command opens the store itself.

use super::{
    Place,
    protocol::{Answer, Request},
};
use crate::{
    desk::{self, Desk},
    limits::{ANSWER_BYTES_MAX, ANSWER_WAIT_MAX, STORE_WAIT_MAX, STORE_WAIT_STEP},
    machine::{self, OpenError},
};
use anyhow::{Context, Result, bail};
use household::Config;
use std::{
    io::{self, Read, Write},
    net::Shutdown,
    os::unix::net::UnixStream,
    path::Path,
    sync::Arc,
    thread,
    time::Instant,
};

/// Has the request carried out by the server, or here if none is running.
pub(crate) fn ask(config: &Arc<Config>, request: &Request) -> Result<Answer> {
    let started = Instant::now();
    loop {
        if let Some(socket) = connect(&config.data_dir)? {
            return over(socket, request);
        }
        if let (false, Some(answer)) = (
            config.data_dir.exists(),
            desk::answer_without_data(config, request),
        ) {
            return Ok(answer);
        }
        match machine::open_store(&config.data_dir) {
            Ok(store) => return Ok(Desk::alone(config.clone(), store)?.answer(request)),
            // Another command has it, or a server that is just starting.
            Err(OpenError {
                error: store::Error::InUse(_),
                ..
            }) if started.elapsed() < STORE_WAIT_MAX => {
                thread::sleep(STORE_WAIT_STEP);
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// A connection to the server, if one is running.
fn connect(data_dir: &Path) -> Result<Option<UnixStream>> {
    let connected =
        Place::of(data_dir, "control.sock").and_then(|place| UnixStream::connect(&place.path));
    match connected {
        Ok(socket) => Ok(Some(socket)),
        // A socket file that nobody listens at was left by a server that was killed. A data directory that
        // is none is for the store to complain about.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound
                    | io::ErrorKind::NotADirectory
                    | io::ErrorKind::ConnectionRefused
            ) =>
        {
            Ok(None)
        }
        Err(error) => {
            let data_dir = data_dir.display();
            Err(error).with_context(|| {
                format!("cannot talk to the server in {data_dir}: run this as its user")
            })
        }
    }
}

fn over(mut socket: UnixStream, request: &Request) -> Result<Answer> {
    socket.set_read_timeout(Some(ANSWER_WAIT_MAX))?;
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    // A server that refuses what it reads answers and closes: then the answer matters, not the rest.
    let sent = socket
        .write_all(&line)
        .and_then(|()| socket.shutdown(Shutdown::Write));
    let mut answer = Vec::new();
    socket
        .take(ANSWER_BYTES_MAX)
        .read_to_end(&mut answer)
        .context("the server did not answer: see its log")?;
    if answer.is_empty() {
        sent.context("the server hung up")?;
        bail!("the server did not answer: see its log");
    }
    serde_json::from_slice(&answer)
        .context("the server's answer makes no sense: is it of the same version?")
}
