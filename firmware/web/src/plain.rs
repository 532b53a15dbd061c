//! What is there without TLS: the way to https.

use axum::{
    Extension, Router,
    extract::Path,
    http::{
        HeaderValue, StatusCode, Uri,
        header::{CONTENT_TYPE, LOCATION},
    },
    response::{IntoResponse, Response},
    routing::get,
};
use std::sync::Arc;

/// What an authority is answered that asks for the challenge with this token; `None` where there is none.
#[derive(Clone)]
pub(crate) struct Challenges(pub(crate) Arc<Answer>);

/// From a token to the answer.
type Answer = dyn Fn(&str) -> Option<String> + Send + Sync;

/// `address` is what the new URL begins with, whatever host was asked for: a name from elsewhere leads to
/// this house, and not to where it says.
pub(crate) fn router(
    address: impl Fn() -> Option<String> + Clone + Send + Sync + 'static,
) -> Router {
    Router::new()
        // RFC 8555 §8.3: an authority asks in the clear, and takes an answer of ours alone.
        .route(
            "/.well-known/acme-challenge/{token}",
            get(challenge).fallback(no_challenge),
        )
        .fallback(move |uri: Uri| async move { redirect(address(), &uri) })
}

async fn challenge(
    challenges: Option<Extension<Challenges>>,
    Path(token): Path<String>,
) -> Response {
    match challenges.and_then(|Extension(challenges)| (challenges.0)(&token)) {
        Some(proof) => {
            let kind = HeaderValue::from_static("application/octet-stream");
            ([(CONTENT_TYPE, kind)], proof).into_response()
        }
        None => no_challenge().await,
    }
}

async fn no_challenge() -> Response {
    (StatusCode::NOT_FOUND, "no such challenge\n").into_response()
}

/// The method stays as it is (RFC 9110 §15.4.9), and where somebody was going, too.
fn redirect(address: Option<String>, uri: &Uri) -> Response {
    let Some(address) = address else {
        return (StatusCode::NOT_FOUND, "there is nothing here\n").into_response();
    };
    let rest = uri.path_and_query().map_or("/", |rest| rest.as_str());
    // `*` is no place (RFC 9112 §3.2.4).
    let rest = if rest.starts_with('/') { rest } else { "/" };
    let location = address + rest;
    (StatusCode::PERMANENT_REDIRECT, [(LOCATION, location)]).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_to_https() {
        let home = || Some("https://home.example:8443".to_owned());
        for (asked, expected) in [
            ("/", "https://home.example:8443/"),
            ("/a/b?c=d&e", "https://home.example:8443/a/b?c=d&e"),
            (
                "/%0d%0aSet-Cookie:x",
                "https://home.example:8443/%0d%0aSet-Cookie:x",
            ),
            (
                "//evil.example/",
                "https://home.example:8443//evil.example/",
            ),
            ("http://evil.example/a", "https://home.example:8443/a"),
            ("http://evil.example", "https://home.example:8443/"),
            ("evil.example:443", "https://home.example:8443/"),
            ("*", "https://home.example:8443/"),
        ] {
            let answer = redirect(home(), &asked.parse().expect("a target"));
            assert_eq!(answer.status(), StatusCode::PERMANENT_REDIRECT);
            assert_eq!(answer.headers()[LOCATION], expected, "{asked}");
        }
        let nowhere = redirect(None, &Uri::from_static("/"));
        assert_eq!(nowhere.status(), StatusCode::NOT_FOUND);
    }
}
