//! The pages: HTML for people, from plain data. What serves them (TLS, limits, headers) is crate `web`.

mod pages;

pub use pages::router;
