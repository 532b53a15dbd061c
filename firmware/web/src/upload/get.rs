//! GET and HEAD: a file goes, whole or a part of it.

use super::{
    Uploads,
    answer::Refused,
    body::FileBody,
    disposition,
    path::Address,
    range::{self, Wanted, has_same_tag},
};
use crate::Peer;
use axum::{
    body::Body,
    http::{
        HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
        header::{
            ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE,
            CONTENT_TYPE, ETAG, IF_MATCH, IF_NONE_MATCH, IF_RANGE, RANGE,
        },
        request::Parts,
    },
    response::{IntoResponse, Response},
};
use server::uploads::Upload;
use std::{
    fs::File,
    io::{self, Seek, SeekFrom},
    path::Path,
};
use tracing::error;

/// Seconds for which whoever has the address of a file may keep it without asking again: a year, where it
/// stays as long.
const KEEP_S_MAX: u64 = 31_536_000;

pub(super) async fn answer(uploads: &Uploads, head: &Parts) -> Result<Response, Refused> {
    let Address { id, name } = Address::read(&head.uri)?;
    let found = uploads.server.find_upload(id).await;
    let found = found.map_err(|_| Refused::UNREADABLE)?;
    // Under another name it would be another file to whoever gets the address.
    let upload = found
        .filter(|upload| upload.name == name)
        .ok_or(Refused::NO_FILE)?;
    let tag = format!("\"{id}\"");
    let headers = &head.headers;
    // RFC 9110 §13.2.2.
    if headers.contains_key(IF_MATCH) && !any(headers, &IF_MATCH, |it| has_same_tag(it, &tag)) {
        return Err(Refused::NO_MATCH);
    }
    if any(headers, &IF_NONE_MATCH, |it| range::has_tag(it, &tag)) {
        let mut response = StatusCode::NOT_MODIFIED.into_response();
        describe(response.headers_mut(), &tag, upload.left_ms);
        return Ok(response);
    }
    let is_get = head.method == Method::GET;
    let wanted = match header(headers, &RANGE).filter(|_| is_get) {
        // §13.1.5: of another file all of it, or two halves would not fit.
        Some(_) if headers.get(IF_RANGE).is_some_and(|had| *had != *tag) => Wanted::All,
        Some(range) => range::wanted(range, upload.bytes),
        None => Wanted::All,
    };
    let (status, first, bytes) = match wanted {
        Wanted::All => (StatusCode::OK, 0, upload.bytes),
        Wanted::Part { first, bytes } => (StatusCode::PARTIAL_CONTENT, first, bytes),
        Wanted::None => return Ok(unsatisfiable(upload.bytes)),
    };
    let peer = head.extensions.get::<Peer>().ok_or(Refused::NO_FILE)?.0;
    let share = uploads.gets.take(peer.ip(), u64::from(is_get));
    let share = share.ok_or(Refused::TOO_MANY)?;
    let path = uploads.file(id);
    let file = uploads.hands.to_read(move || open(&path, first)).await;
    let file = file.map_err(|error| {
        error!(%error, "an uploaded file cannot be read");
        Refused::NO_FILE
    })?;
    let body = if is_get {
        Body::new(FileBody::new(file, bytes, uploads.hands.clone(), share))
    } else {
        Body::empty()
    };
    let mut response = (status, body).into_response();
    let headers = response.headers_mut();
    describe(headers, &tag, upload.left_ms);
    about(headers, &upload);
    headers.insert(CONTENT_LENGTH, bytes.into());
    if status == StatusCode::PARTIAL_CONTENT {
        let range = format!("bytes {first}-{}/{}", first + bytes - 1, upload.bytes);
        insert(headers, CONTENT_RANGE, &range);
    }
    Ok(response)
}

fn open(path: &Path, first: u64) -> io::Result<File> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(first))?;
    Ok(file)
}

/// What is the same of every answer about a file.
fn describe(headers: &mut HeaderMap, tag: &str, left_ms: u64) {
    insert(headers, ETAG, tag);
    // It never changes, until it is gone; nobody's proxy needs it.
    let keep_s = KEEP_S_MAX.min(left_ms / 1_000);
    let cache = format!("private, max-age={keep_s}, immutable");
    insert(headers, CACHE_CONTROL, &cache);
}

fn about(headers: &mut HeaderMap, upload: &Upload) {
    let media_type = match &*upload.media_type {
        "" => "application/octet-stream",
        media_type => media_type,
    };
    insert(headers, CONTENT_TYPE, media_type);
    let disposition = disposition::of(&upload.name, media_type);
    insert(headers, CONTENT_DISPOSITION, &disposition);
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
}

/// §15.5.17.
fn unsatisfiable(bytes: u64) -> Response {
    let sentence = format!("the file has {bytes} bytes, and none of those that were asked for\n");
    let mut response = (StatusCode::RANGE_NOT_SATISFIABLE, sentence).into_response();
    insert(
        response.headers_mut(),
        CONTENT_RANGE,
        &format!("bytes */{bytes}"),
    );
    response
}

/// Everything that is written here is ASCII that we made or judged.
fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// Whether one of the lines of a header is like that (RFC 9110 §5.3).
fn any(headers: &HeaderMap, name: &HeaderName, is_it: impl Fn(&str) -> bool) -> bool {
    let mut lines = headers.get_all(name).iter();
    lines.any(|line| line.to_str().is_ok_and(&is_it))
}

fn header<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}
