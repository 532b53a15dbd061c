//! One question to one STUN server: where do you see me? (RFC 8489 §6, §14.2). Owns nothing.

use super::limits::{STUN_BYTES_MAX, STUN_RTO_MS, STUN_TRIES};
use crate::turn::ask;
use server::world::Dice;
use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};
use tokio::{net::UdpSocket, time::timeout};

/// The address that the server sees, or `None`. Only the server itself is heard, and only with the number
/// that it was asked with.
pub(super) async fn ask(server: SocketAddr, dice: &dyn Dice) -> Option<IpAddr> {
    seen(server, dice)
        .await
        .ok()
        .flatten()
        .map(|seen| seen.ip())
}

/// The same with the port, as the self-check wants it.
pub(crate) async fn seen(server: SocketAddr, dice: &dyn Dice) -> io::Result<Option<SocketAddr>> {
    let any: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).await?;
    // From here on nobody else's datagrams come in.
    socket.connect(server).await?;
    let mut transaction = [0; 12];
    dice.fill(&mut transaction);
    let question = ask::binding(transaction);
    let mut buffer = [0; STUN_BYTES_MAX];
    for attempt in 0..STUN_TRIES {
        socket.send(&question).await?;
        let patience = Duration::from_millis(STUN_RTO_MS << attempt);
        let answer = timeout(patience, async {
            loop {
                let length = socket.recv(&mut buffer).await?;
                if let Some(seen) = ask::seen_from(&buffer[..length], transaction) {
                    return io::Result::Ok(seen);
                }
            }
        });
        if let Ok(answer) = answer.await {
            return answer.map(Some);
        }
    }
    Ok(None)
}
