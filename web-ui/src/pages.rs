//! The route table: every page has one line here, a file below, and a template of the same name.

mod index;

use axum::{Router, routing::get};
use household::Config;
use std::sync::Arc;

/// The pages of this server. `config` tells the one in force, which may change while the server runs.
pub fn router(config: impl Fn() -> Arc<Config> + Clone + Send + Sync + 'static) -> Router {
    Router::new().route("/", get(move || async move { index::page(&config()) }))
}
