//! A relayed address at work: what peers write to it goes to its client.

use super::{
    Inner, carry,
    datagrams::{Datagrams, Received},
    world::Id,
};
use std::sync::Arc;

/// Until the allocation gives the address up, which ends this task.
pub(super) async fn serve(turn: Arc<Inner>, socket: Arc<Datagrams>, id: Id) {
    let receiving = socket.receive(
        |Received {
             from, data, out, ..
         }| {
            let now = turn.machine.elapsed_ms();
            // The lock is given back before anything is sent.
            let fate = turn.core().hear_peer(now, id, from, data, out);
            carry(fate, out);
        },
    );
    let error = receiving.await;
    tracing::debug!(%error, "a relayed address can not be read any more");
}
