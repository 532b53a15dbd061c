//! HTTP and HTTPS, on connections that `server::listen` accepts: limits and headers; `/healthz` and
//! `/metrics`; the way from http to https; the pages of crate `web-ui`.

mod guests;
pub mod limits;
mod metrics;
mod patience;
mod plain;
mod serve;
mod site;
mod visits;

pub use site::{Peer, Site};
