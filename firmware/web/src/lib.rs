//! HTTP and HTTPS: connections, limits and headers; `/healthz` and `/metrics`; the pages of crate `web-ui`.

mod guests;
pub mod limits;
mod metrics;
mod serve;
mod site;

pub use serve::{TlsSource, serve};
pub use site::{Peer, Site};
