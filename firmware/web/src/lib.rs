//! HTTP and HTTPS: connections, limits and headers; `/healthz` and `/metrics`; the pages of crate `web-ui`.

mod bosh;
mod discovery;
mod guests;
pub mod limits;
mod metrics;
mod serve;
mod site;
mod websocket;

pub use serve::{TlsSource, serve};
pub use site::{Peer, Site};
