//! `/upload/ID/NAME`: files come with PUT and go with GET (XEP-0363). Who may put what is for `server` to
//! say; here are HTTP and the bytes, which lie in `DATA_DIR/uploads/xx/ID`, `xx` being the first two digits.
//!
//! A file is written under `ID.part` and gets its name when it is whole and on the card; it is there for
//! others as soon as its row is, which is when the client is told. Whatever is cut off in between is removed,
//! at once or by [`Uploads::keep`].
//!
//! State: files; in memory, which of them are in somebody's hands, and which folders are on the card.

mod answer;
mod body;
mod clean;
mod disposition;
mod get;
mod hands;
mod part;
mod path;
mod put;
mod range;

use crate::{
    limits::{GETS_ALL_MAX, GETS_PER_HOUSEHOLD_MAX},
    shares::Shares,
};
use answer::{Refused, with_headers};
use axum::{
    Router,
    extract::Request,
    http::{HeaderValue, Method, StatusCode, header::ALLOW},
    middleware::map_response,
    response::{IntoResponse, Response},
    routing::any,
};
use hands::Hands;
pub(crate) use put::drain;
use server::{Server, uploads::UploadId};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// Everything that may be asked for below `/upload`.
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, PUT, OPTIONS");

/// The files of a server. A clone is a count.
#[derive(Clone)]
pub struct Uploads {
    server: Arc<Server>,
    /// `DATA_DIR/uploads`.
    directory: Arc<Path>,
    hands: Hands,
    /// Files that are read now.
    gets: Shares,
}

impl Uploads {
    /// The files that lie in the data directory; made when the first one comes.
    pub fn new(server: Arc<Server>, data_dir: &Path) -> Uploads {
        Uploads {
            server,
            directory: data_dir.join("uploads").into(),
            hands: Hands::default(),
            gets: Shares::new(GETS_ALL_MAX, GETS_PER_HOUSEHOLD_MAX),
        }
    }

    /// What is served.
    pub fn router(&self) -> Router {
        let uploads = self.clone();
        let serve = any(move |request| uploads.clone().serve(request));
        Router::new()
            .route("/upload", serve.clone())
            .route("/upload/", serve.clone())
            .route("/upload/{*file}", serve)
            .layer(map_response(with_headers))
    }

    async fn serve(self, request: Request) -> Response {
        let (head, body) = request.into_parts();
        let answer = match head.method {
            Method::GET | Method::HEAD => get::answer(&self, &head).await,
            Method::PUT => put::answer(&self, &head, body).await,
            Method::OPTIONS => Ok(StatusCode::NO_CONTENT.into_response()),
            _ => Err(Refused::METHOD),
        };
        let mut response = answer.unwrap_or_else(Refused::into_response);
        if matches!(
            response.status(),
            StatusCode::METHOD_NOT_ALLOWED | StatusCode::NO_CONTENT
        ) {
            response.headers_mut().insert(ALLOW, METHODS);
        }
        response
    }

    /// Where a file lies when it is whole.
    fn file(&self, id: UploadId) -> PathBuf {
        let id = id.to_string();
        self.directory.join(&id[..2]).join(id)
    }
}
