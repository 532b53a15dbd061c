//! `/`: what this server is, and how to connect a client.

use askama::Template;
use axum::{
    http::StatusCode,
    response::{Html, IntoResponse, Response},
};
use household::Config;
use std::net::SocketAddr;

#[derive(Template)]
#[template(path = "index.html")]
struct Index<'a> {
    domain: &'a str,
    /// Ports of the first listener with direct TLS and with STARTTLS, where there are any.
    direct: Option<u16>,
    starttls: Option<u16>,
}

pub(super) fn page(config: &Config) -> Response {
    let index = Index {
        domain: &config.domain,
        direct: port(&config.listen.c2s_tls),
        starttls: port(&config.listen.c2s),
    };
    match index.render() {
        Ok(html) => Html(html).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Port 0 is any free one: nothing to tell anybody.
fn port(listeners: &[SocketAddr]) -> Option<u16> {
    listeners
        .first()
        .map(SocketAddr::port)
        .filter(|port| *port != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(domain: &str, direct: Option<u16>, starttls: Option<u16>, expected: &str) {
        let html = Index {
            domain,
            direct,
            starttls,
        }
        .render()
        .expect("the template is complete");
        let words: Vec<_> = html.split_whitespace().collect();
        assert!(words.join(" ").contains(expected), "{html}");
    }

    #[test]
    fn the_domain_is_escaped() {
        check("a<b>.example", None, None, "<h1>a&#60;b&#62;.example</h1>");
    }

    #[test]
    fn ports_are_told_where_there_are_any() {
        let start = "it is <code>localhost</code>";
        check(
            "localhost",
            Some(5223),
            Some(5222),
            &format!("{start}, port 5223 with TLS, port 5222 with STARTTLS.</p>"),
        );
        check(
            "localhost",
            Some(5223),
            None,
            &format!("{start}, port 5223 with TLS.</p>"),
        );
        check(
            "localhost",
            None,
            None,
            "The app finds the rest.</li> </ol> </main>",
        );
    }
}
