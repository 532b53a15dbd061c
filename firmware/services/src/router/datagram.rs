//! One question by datagram to one router, and its answer. Owns a socket that hears nobody else.

use super::limits::{ANSWER_BYTES_MAX, RETRY_MS, TRIES};
use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};
use tokio::{net::UdpSocket, time::timeout};

/// Where NAT-PMP and PCP are answered (RFC 6886 §3.1, RFC 6887 §19.1).
const PORT: u16 = 5351;

pub(super) struct Datagrams(UdpSocket);

impl Datagrams {
    /// From this address of ours to this router; `interface` is for addresses of a link.
    pub(super) async fn open(own: IpAddr, router: IpAddr, interface: u32) -> io::Result<Datagrams> {
        let socket = UdpSocket::bind((own, 0)).await?;
        let mut place = SocketAddr::new(router, PORT);
        if let SocketAddr::V6(place) = &mut place {
            place.set_scope_id(interface);
        }
        socket.connect(place).await?;
        Ok(Datagrams(socket))
    }

    /// Asks until `read` takes something for the answer. `None` where nothing comes, or nobody is there.
    pub(super) async fn ask<T>(
        &self,
        question: &[u8],
        read: impl Fn(&[u8]) -> Option<T>,
    ) -> Option<T> {
        let mut buffer = [0; ANSWER_BYTES_MAX];
        for attempt in 0..TRIES {
            self.0.send(question).await.ok()?;
            let patience = Duration::from_millis(RETRY_MS << attempt);
            let answer = timeout(patience, async {
                loop {
                    // An error says that nobody listens there.
                    let length = self.0.recv(&mut buffer).await.ok()?;
                    if let Some(answer) = read(&buffer[..length]) {
                        return Some(answer);
                    }
                }
            });
            if let Ok(answer) = answer.await {
                return answer;
            }
        }
        None
    }
}

/// How far a router's clock has come, as its answers say: one that goes back, or another way than ours, has
/// started again and forgotten its ports (RFC 6887 §8.5, RFC 6886 §3.6).
#[derive(Debug, Default)]
pub(super) struct Epoch(Option<(u64, u64)>);

impl Epoch {
    /// Takes note of one answer: seconds of ours and of the router's. `true` where it has started again.
    pub(super) fn is_lost(&mut self, ours_s: u64, theirs_s: u32) -> bool {
        let theirs_s = u64::from(theirs_s);
        let before = self.0.replace((ours_s, theirs_s));
        let Some((ours_before, theirs_before)) = before else {
            return false;
        };
        let Some(theirs) = (theirs_s + 1).checked_sub(theirs_before) else {
            return true;
        };
        let (theirs, ours) = (theirs.saturating_sub(1), ours_s.saturating_sub(ours_before));
        ours + 2 < theirs - theirs / 16 || theirs + 2 < ours - ours / 16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_router_that_started_again_is_noticed() {
        for (ours, theirs, is_lost) in [
            (60, 1_060, false),
            (60, 1_058, false),
            (60, 999, true),
            (60, 0, true),
            (0, 999, false),
            (3_600, 1_000 + 3_500, false),
            (3_600, 1_000 + 3_000, true),
            (60, 5_000, true),
        ] {
            let mut epoch = Epoch::default();
            assert!(!epoch.is_lost(100, 1_000));
            assert_eq!(
                epoch.is_lost(100 + ours, theirs),
                is_lost,
                "{ours} {theirs}"
            );
        }
    }
}
