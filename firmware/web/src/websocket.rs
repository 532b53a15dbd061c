//! `/xmpp-websocket`: the handshake of RFC 7395 §3.1, and the socket for what the server says in frames.

use crate::{
    Peer,
    limits::{FRAME_BYTES_MAX, WEBSOCKET_READ_BYTES},
};
use axum::{
    Extension,
    extract::ws::{
        CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code,
        rejection::WebSocketUpgradeRejection,
    },
    http::StatusCode,
    response::{IntoResponse, Response},
};
use server::{
    Frame, Frames,
    listen::{ClientDoor, Secured},
};
use std::{
    io,
    pin::pin,
    task::{Context, Poll, ready},
};
use tracing::debug;

/// The address on the https listener.
pub(crate) const PATH: &str = "/xmpp-websocket";

/// Its name among the protocols of WebSockets (§3.1).
const PROTOCOL: &str = "xmpp";

/// Takes a client in. The key that it sends is answered whatever its length: some clients do not send 16
/// bytes.
pub(crate) async fn enter(
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    Extension(door): Extension<ClientDoor>,
    Extension(peer): Extension<Peer>,
    secured: Option<Extension<Secured>>,
) -> Response {
    let Ok(upgrade) = upgrade else {
        let text = "Chat apps connect here by WebSocket (RFC 7395). There is nothing to see for a browser.\n";
        return (
            StatusCode::UPGRADE_REQUIRED,
            [("upgrade", "websocket")],
            text,
        )
            .into_response();
    };
    let upgrade = upgrade.protocols([PROTOCOL]);
    if upgrade.selected_protocol().is_none() {
        let text = "Name the protocol: Sec-WebSocket-Protocol: xmpp (RFC 7395 §3.1).\n";
        return (StatusCode::BAD_REQUEST, text).into_response();
    }
    // Without TLS nobody is asked for a password.
    let Some(visitor) = peer.over(secured) else {
        let text = "Only over https.\n";
        return (StatusCode::FORBIDDEN, text).into_response();
    };
    upgrade
        .max_message_size(FRAME_BYTES_MAX)
        .max_frame_size(FRAME_BYTES_MAX)
        .read_buffer_size(WEBSOCKET_READ_BYTES)
        .write_buffer_size(0)
        .on_failed_upgrade(move |error| debug!(peer = %peer.0, %error, "no WebSocket"))
        .on_upgrade(move |socket| async move {
            door.serve_frames(Socket(socket), visitor).await;
        })
}

struct Socket(WebSocket);

impl Frames for Socket {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Frame>>> {
        let next = pin!(self.0.recv());
        Poll::Ready(match ready!(next.poll(cx)) {
            Some(Ok(Message::Text(text))) => Ok(Some(Frame::Text(text.to_string()))),
            Some(Ok(Message::Binary(_))) => Ok(Some(Frame::Binary)),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(Some(Frame::Pong)),
            Some(Ok(Message::Close(_))) | None => Ok(None),
            Some(Err(error)) => Err(io::Error::other(error)),
        })
    }

    async fn send(&mut self, text: String) -> io::Result<()> {
        let sent = self.0.send(Message::Text(text.into())).await;
        sent.map_err(io::Error::other)
    }

    async fn ping(&mut self) -> io::Result<()> {
        let sent = self.0.send(Message::Ping(Vec::new().into())).await;
        sent.map_err(io::Error::other)
    }

    async fn close(&mut self) {
        let goodbye = CloseFrame {
            code: close_code::NORMAL,
            reason: "".into(),
        };
        // The peer may be gone already.
        let _ = self.0.send(Message::Close(Some(goodbye))).await;
    }
}
