//! PUT: a file comes, in pieces as large as memory is spent on it.

use super::{
    Uploads,
    answer::Refused,
    part::Part,
    path::{self, Address},
};
use crate::limits::{
    BODY_IDLE_MAX, BODY_PERIOD, BODY_RATE_MIN, DRAINED_BYTES_MAX, DRAINED_WAIT, PUT_BUFFER_BYTES,
};
use axum::{
    body::{Body, Bytes, HttpBody},
    http::{
        HeaderMap, StatusCode,
        header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, EXPECT, IF_MATCH},
        request::Parts,
    },
    response::{IntoResponse, Response},
};
use server::uploads::{Accepted, Put};
use std::{fs, future::poll_fn, io, pin::Pin};
use tokio::time::{Instant, timeout};
use tracing::error;

pub(super) async fn answer(
    uploads: &Uploads,
    head: &Parts,
    body: Body,
) -> Result<Response, Refused> {
    match begin(uploads, head).await {
        Ok((accepted, part)) => {
            let part = receive(uploads, body, part, &accepted).await?;
            finish(uploads.clone(), part, accepted).await
        }
        Err(refused) => {
            // A client that sends all before it listens would not hear why, were the line cut now. One that
            // asked first (RFC 9110 §10.1.1) listens.
            if !head.headers.contains_key(EXPECT) {
                tokio::spawn(drain(body));
            }
            Err(refused)
        }
    }
}

/// Everything that can be judged before the first byte.
async fn begin(uploads: &Uploads, head: &Parts) -> Result<(Accepted, Part), Refused> {
    let address = Address::read(&head.uri)?;
    // RFC 9110 §14.5.
    if head.headers.contains_key(CONTENT_RANGE) {
        return Err(Refused::NOT_WHOLE);
    }
    let put = Put {
        id: address.id,
        name: &address.name,
        token: path::token(&head.uri),
        length: length(&head.headers),
        media_type: text(&head.headers),
    };
    let accepted = uploads.server.judge_upload(put).await?;
    // §13.1.1: a file that is not there yet is none of those. §13.1.2 asks for just that.
    if head.headers.contains_key(IF_MATCH) {
        return Err(Refused::NO_MATCH);
    }
    let (id, account) = (accepted.id(), accepted.account());
    let held = uploads.hands.take(id, account, accepted.bytes()).await?;
    // Its row may have come since it was judged.
    if uploads
        .server
        .find_upload(accepted.id())
        .await
        .is_ok_and(|found| found.is_some())
    {
        return Err(Refused::STORED);
    }
    let keep_free = uploads.server.config().upload.keep_free;
    let room = (uploads.hands.promised(), keep_free);
    let whole = uploads.file(accepted.id());
    let part = uploads
        .hands
        .on_disk(move || Part::begin(&whole, room, held));
    Ok((accepted, part.await.map_err(refused)?))
}

fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// A type that is no text is one that nobody promised.
fn text(headers: &HeaderMap) -> Option<&str> {
    let said = headers.get(CONTENT_TYPE)?;
    Some(said.to_str().unwrap_or_default())
}

async fn receive(
    uploads: &Uploads,
    mut body: Body,
    mut part: Part,
    accepted: &Accepted,
) -> Result<Part, Refused> {
    let (bytes, cut) = (accepted.bytes(), part.cut());
    let (mut period, mut came) = (Instant::now() + BODY_PERIOD, 0);
    let room = usize::try_from(bytes)
        .unwrap_or(PUT_BUFFER_BYTES)
        .min(PUT_BUFFER_BYTES);
    let mut buffer = Vec::with_capacity(room);
    let mut left = bytes;
    while left > 0 {
        let now = Instant::now();
        if now >= period {
            if came < BODY_RATE_MIN * BODY_PERIOD.as_secs() {
                return Err(Refused::SLOW);
            }
            if !uploads.server.wants_upload(accepted).await {
                return Err(Refused::NO_SLOT);
            }
            (period, came) = (now + BODY_PERIOD, 0);
        }
        let piece = tokio::select! {
            piece = timeout(BODY_IDLE_MAX, next(&mut body)) => piece,
            () = cut.notified() => return Err(Refused::TAKEN_OVER),
        };
        let mut piece = piece.map_err(|_| Refused::SLOW)?.ok_or(Refused::CUT_OFF)?;
        let bytes = piece.len() as u64;
        came += bytes;
        left = left.checked_sub(bytes).ok_or(Refused::CUT_OFF)?;
        while !piece.is_empty() {
            let fitting = piece.split_to(piece.len().min(room - buffer.len()));
            buffer.extend_from_slice(&fitting);
            if buffer.len() == room {
                let begin = Instant::now();
                (part, buffer) = write(uploads, part, buffer).await?;
                // That was not the client's time.
                period += begin.elapsed();
            }
        }
    }
    if !buffer.is_empty() {
        (part, _) = write(uploads, part, buffer).await?;
    }
    Ok(part)
}

/// Writes what is in the buffer, and gives it back empty. Who goes away meanwhile leaves nothing: the job
/// drops the file then.
async fn write(
    uploads: &Uploads,
    mut part: Part,
    mut buffer: Vec<u8>,
) -> Result<(Part, Vec<u8>), Refused> {
    let job = move || {
        part.write(&buffer)?;
        buffer.clear();
        Ok((part, buffer))
    };
    uploads.hands.on_disk(job).await.map_err(refused)
}

/// The last byte is here. What is begun now is done to its end, also where the client does not wait for it.
async fn finish(uploads: Uploads, part: Part, accepted: Accepted) -> Result<Response, Refused> {
    let work = async move {
        let whole = uploads.file(accepted.id());
        let path = whole.clone();
        let finished = uploads.hands.on_disk(move || part.finish(&path)).await;
        let part = finished.map_err(refused)?;
        let kept = uploads.server.keep_upload(accepted).await;
        let Err(refusal) = kept else {
            return Ok(StatusCode::CREATED.into_response());
        };
        let _ = uploads.hands.on_disk(move || fs::remove_file(whole)).await;
        drop(part); // it was in hand until here
        Err(refusal.into())
    };
    tokio::spawn(work).await.unwrap_or(Err(Refused::DISK))
}

fn refused(error: io::Error) -> Refused {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Refused::NO_ROOM,
        _ => {
            error!(%error, "an uploaded file cannot be written");
            Refused::DISK
        }
    }
}

/// The next bytes of a body; `None` at its end, and where the line is cut.
async fn next(body: &mut Body) -> Option<Bytes> {
    loop {
        let frame = poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx))
            .await?
            .ok()?;
        // Trailers are for nobody here.
        if let Ok(data) = frame.into_data() {
            return Some(data);
        }
    }
}

/// Reads what nobody wants, so far and so long as that is worth an answer.
pub(crate) async fn drain(mut body: Body) {
    let read = async {
        let mut left = DRAINED_BYTES_MAX;
        while let Some(piece) = next(&mut body).await {
            match left.checked_sub(piece.len()) {
                Some(rest) => left = rest,
                None => return,
            }
        }
    };
    // Whether it ended or not, it was enough.
    let _ = timeout(DRAINED_WAIT, read).await;
}
