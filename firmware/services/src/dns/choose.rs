//! Which provider the configuration means.

use super::{
    digitalocean::DigitalOcean,
    provider::{Failure, FailureKind, Provider},
    rfc2136::Rfc2136,
    token::Token,
};
use crate::http::Http;
use household::Config;
use server::{tls::Files, world::Clock};
use std::{net::IpAddr, sync::Arc};

/// From a configuration to the provider that it names, `None` where nobody keeps the records.
pub type Chooser = Box<dyn Fn(&Config) -> Result<Option<Arc<dyn Provider>>, Failure> + Send + Sync>;

/// The providers of this build. The token is read each time, so that a new one needs no restart.
pub fn chooser(http: Http, clock: Arc<dyn Clock>, files: Arc<dyn Files>) -> Chooser {
    Box::new(move |config| {
        if config.dns.provider.is_empty() || !is_public(&config.domain) {
            return Ok(None);
        }
        let dns = &config.dns;
        let token = || Token::read(&*files, &dns.token_file);
        let provider: Arc<dyn Provider> = match dns.provider.as_str() {
            "digitalocean" => Arc::new(DigitalOcean::new(
                http.clone(),
                clock.clone(),
                &dns.api_base,
                token()?,
            )),
            "rfc2136" => Arc::new(Rfc2136::new(config, clock.clone(), &token()?)?),
            other => return Err(unknown(other)),
        };
        Ok(Some(provider))
    })
}

/// Whether a domain can be in the public DNS at all.
pub(super) fn is_public(domain: &str) -> bool {
    let is_local = ["localhost", "local"]
        .iter()
        .any(|last| domain == *last || domain.ends_with(&format!(".{last}")));
    let is_name = domain.contains('.')
        && domain
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte));
    is_name && !is_local && domain.parse::<IpAddr>().is_err()
}

fn unknown(provider: &str) -> Failure {
    Failure::new(
        FailureKind::Setup,
        format!("dns.provider = \"{provider}\" is not in this build of Hearth"),
        "write \"digitalocean\" or \"rfc2136\", or keep the records by hand as `hearth dns plan` lists them",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_can_be_published() {
        for (domain, expected) in [
            ("home.example", true),
            ("chat.home.example", true),
            ("localhost", false),
            ("house.localhost", false),
            ("hearth.local", false),
            ("house", false),
            ("192.0.2.1", false),
            ("a/b.example", false),
            ("xn--hz-iia.example", true),
        ] {
            assert_eq!(is_public(domain), expected, "{domain}");
        }
    }
}
