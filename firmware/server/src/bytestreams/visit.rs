//! One connection, from its first byte until it is over, or somebody else drives its stream.

use super::{
    Bytestreams, Line, Place, Told,
    limits::{EARLY_BYTES_MAX, HANDSHAKE_MS_MAX, WAITING_MS_MAX},
    relay::{read, relay},
    socks::{self, Reply},
};
use crate::{listen::Admission, server::Server, throttle::network};
use std::{
    io::{self, ErrorKind},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};
use tokio::{
    net::TcpStream,
    sync::watch,
    time::{sleep, timeout},
};
use tracing::debug;

/// Somebody at the door.
pub(crate) struct Visit {
    pub(crate) tcp: TcpStream,
    pub(crate) address: IpAddr,
    pub(crate) admission: Admission,
    /// Turns true when the listener closes.
    pub(crate) stop: watch::Receiver<bool>,
}

/// Serves a connection to its end.
pub(crate) async fn serve(server: Arc<Server>, visit: Visit) {
    let Visit {
        tcp,
        address,
        admission,
        stop,
    } = visit;
    let waits = tokio::select! {
        () = stopped(&stop) => return,
        waits = come_in(&server.bytestreams, tcp, &stop, address) => waits,
    };
    // Those who wait have limits of their own, and do not stand in the way of people who sign in.
    drop(admission);
    let (mut place, line) = match waits {
        Ok(waits) => waits,
        Err(error) => return debug!(%address, %error, "no bytestream"),
    };
    let told = tokio::select! {
        told = &mut place.told => told,
        () = gone(&line.socket) => return,
        () = sleep(Duration::from_millis(WAITING_MS_MAX)) => return,
        () = line.stopped() => return,
    };
    drop(place);
    if let Ok(Told::Drive(other, mut running)) = told {
        tokio::select! {
            () = relay(server.clock(), &line, &other) => {}
            _ = &mut running.ended => {}
        }
    }
}

/// Until it has been told that it may wait.
async fn come_in(
    book: &Arc<Bytestreams>,
    mut tcp: TcpStream,
    stop: &watch::Receiver<bool>,
    address: IpAddr,
) -> io::Result<(Place, Line)> {
    let late = |_| io::Error::new(ErrorKind::TimedOut, "said nothing in time");
    let limit = Duration::from_millis(HANDSHAKE_MS_MAX);
    let request = timeout(limit, socks::request(&mut tcp))
        .await
        .map_err(late)??;
    let Some(place) = book.reserve(request.at, network(address)) else {
        let _ = tcp.try_write(&request.reply(Reply::GeneralFailure));
        return Err(io::Error::other("there are enough who wait"));
    };
    let line = Line {
        socket: Arc::new(tcp),
        stop: stop.clone(),
    };
    place.wait_on(line.clone(), &request.reply(Reply::Succeeded))?;
    Ok((place, line))
}

/// Ends when one who waits is gone, or sends too much. What comes before anybody listens is for nobody
/// (XEP-0065 §10.1, item 4).
async fn gone(socket: &TcpStream) {
    let mut early = 0;
    let mut buffer = [0; 512];
    while early <= EARLY_BYTES_MAX {
        match read(socket, &mut buffer).await {
            Ok(count) if count > 0 => early += count,
            _ => return,
        }
    }
}

async fn stopped(stop: &watch::Receiver<bool>) {
    let _ = stop.clone().wait_for(|stop| *stop).await;
}

impl Line {
    pub(super) async fn stopped(&self) {
        stopped(&self.stop).await;
    }
}
