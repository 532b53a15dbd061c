//! What is said to programs and people, and the headers of every answer.

use crate::limits::COME_BACK_S;
use axum::{
    http::{
        HeaderName, HeaderValue, StatusCode,
        header::{
            ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
            ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
            CONTENT_SECURITY_POLICY, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS,
        },
    },
    response::{IntoResponse, Response},
};
use server::uploads::PutRefusal;
use std::borrow::Cow;

/// An answer that is no file: a status, and a sentence for a person.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) status: StatusCode,
    sentence: Cow<'static, str>,
}

macro_rules! refusals { ($($name:ident = $status:ident $sentence:literal;)*) => {
    impl Refused { $(
        pub(super) const $name: Refused = Refused {
            status: StatusCode::$status,
            sentence: Cow::Borrowed($sentence),
        };
    )* }
} }

refusals! {
    NO_FILE = NOT_FOUND "there is no such file, or not any more";
    BAD_NAME = BAD_REQUEST "the address of a file is /upload/ID/NAME, with a name in UTF-8";
    METHOD = METHOD_NOT_ALLOWED "files are put with PUT and read with GET";
    NO_SLOT = FORBIDDEN "nobody was promised to put a file here: ask for a new slot";
    TOO_LATE = FORBIDDEN "the slot has ended: ask for a new one";
    NO_LENGTH = LENGTH_REQUIRED "say with Content-Length how long the file is";
    WRONG_TYPE = UNSUPPORTED_MEDIA_TYPE "the slot is for a file of another type";
    STORED = CONFLICT "the file is here already";
    IN_HAND = CONFLICT "the file is on its way already";
    TAKEN_OVER = CONFLICT "the file comes with a newer request";
    NO_MATCH = PRECONDITION_FAILED "the file is not the one that If-Match names";
    NOT_WHOLE = BAD_REQUEST "a file comes whole, and not as a part of one";
    QUOTA = INSUFFICIENT_STORAGE "your files take up all the room you have here";
    TOO_MANY = SERVICE_UNAVAILABLE "many files are on their way: try again in a moment";
    CUT_OFF = BAD_REQUEST "the file ended too early";
    SLOW = REQUEST_TIMEOUT "the file came too slowly";
    NO_ROOM = INSUFFICIENT_STORAGE "there is no room for this file on the server's card";
    DISK = INTERNAL_SERVER_ERROR "the server cannot keep files at the moment";
    UNREADABLE = SERVICE_UNAVAILABLE "the server cannot read its files at the moment";
}

impl From<PutRefusal> for Refused {
    fn from(refusal: PutRefusal) -> Refused {
        match refusal {
            PutRefusal::NoSlot => Refused::NO_SLOT,
            PutRefusal::TooLate => Refused::TOO_LATE,
            PutRefusal::NoLength => Refused::NO_LENGTH,
            PutRefusal::TooLong(bytes) => Refused::length(StatusCode::PAYLOAD_TOO_LARGE, bytes),
            PutRefusal::TooShort(bytes) => Refused::length(StatusCode::BAD_REQUEST, bytes),
            PutRefusal::WrongType => Refused::WRONG_TYPE,
            PutRefusal::Stored => Refused::STORED,
            PutRefusal::Quota => Refused::QUOTA,
            PutRefusal::Disk => Refused::NO_ROOM,
        }
    }
}

impl Refused {
    fn length(status: StatusCode, bytes: u64) -> Refused {
        Refused {
            status,
            sentence: format!("the slot is for a file of {bytes} bytes").into(),
        }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let mut response = (self.status, format!("{}\n", self.sentence)).into_response();
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            let later = HeaderValue::from(COME_BACK_S);
            response.headers_mut().insert(RETRY_AFTER, later);
        }
        response
    }
}

/// XEP-0363 §8, §9.1: apps on web pages of any origin may read and put files; what is in one can do nothing
/// where it is shown.
const HEADERS: [(HeaderName, HeaderValue); 8] = [
    (ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*")),
    (ACCESS_CONTROL_ALLOW_METHODS, super::METHODS),
    (
        ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static(
            "Authorization, Content-Type, If-Match, If-None-Match, If-Range, Range",
        ),
    ),
    (
        ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static("Accept-Ranges, Content-Disposition, Content-Range, ETag"),
    ),
    // A day, in seconds: these rules change with a release.
    (ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400")),
    (
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'; sandbox"),
    ),
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("cross-origin"),
    ),
];

pub(super) async fn with_headers(mut response: Response) -> Response {
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, value);
    }
    response
}
