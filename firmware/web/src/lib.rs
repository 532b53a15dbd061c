//! HTTP and HTTPS, on connections that `server::listen` accepts: limits and headers; `/healthz` and
//! `/metrics`; the way from http to https; clients in browsers; uploaded files; the pages of crate `web-ui`.

mod bosh;
mod discovery;
pub mod limits;
mod metrics;
mod pace;
mod patience;
mod plain;
mod serve;
mod shares;
mod site;
mod upload;
mod visits;
mod websocket;

pub use site::{Peer, Site};
pub use upload::Uploads;
