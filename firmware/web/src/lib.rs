//! HTTP and HTTPS: connections, limits and headers; `/healthz` and `/metrics`; uploaded files; the pages of
//! crate `web-ui`.

mod discovery;
mod guests;
pub mod limits;
mod metrics;
mod pace;
mod serve;
mod site;
mod upload;
mod websocket;

pub use serve::{TlsSource, serve};
pub use site::{Peer, Site};
pub use upload::Uploads;
