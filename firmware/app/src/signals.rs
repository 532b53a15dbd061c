//! What the operating system tells a server (RUNNING.md): stop, or read the configuration again.

use anyhow::{Context, Result};
use tokio::signal::unix::{self, SignalKind};

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    Stop,
    Reload,
}

pub(crate) struct Signals {
    hangup: unix::Signal,
    terminate: unix::Signal,
    interrupt: unix::Signal,
}

impl Signals {
    /// From here on they are ours: one that comes during the start is kept.
    pub(crate) fn listen() -> Result<Signals> {
        let listen = |kind| unix::signal(kind).context("cannot listen to signals");
        Ok(Signals {
            hangup: listen(SignalKind::hangup())?,
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }

    pub(crate) async fn next(&mut self) -> Signal {
        tokio::select! {
            biased;
            _ = self.terminate.recv() => Signal::Stop,
            _ = self.interrupt.recv() => Signal::Stop,
            _ = self.hangup.recv() => Signal::Reload,
        }
    }
}
