//! `hearth version`: what this program was made of.

use super::print_line;
use anyhow::Result;
use serde_json::json;
use std::process::ExitCode;

const VERSION: &str = env!("CARGO_PKG_VERSION");
const COMMIT: &str = env!("HEARTH_COMMIT");
const TARGET: &str = env!("HEARTH_TARGET");
const TLS: &str = concat!(
    "rustls ",
    env!("HEARTH_RUSTLS"),
    " with aws-lc-rs ",
    env!("HEARTH_AWS_LC_RS")
);

pub(crate) fn run(json: bool) -> Result<ExitCode> {
    let line = if json {
        json!({ "version": VERSION, "commit": COMMIT, "target": TARGET, "tls": TLS }).to_string()
    } else {
        format!("hearth {VERSION} ({COMMIT}) for {TARGET}, TLS by {TLS}")
    };
    print_line(&line)?;
    Ok(ExitCode::SUCCESS)
}
