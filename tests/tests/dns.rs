//! Finding and reaching other servers: name servers that tell, lie, fail and say nothing, and hosts that are
//! dead. A house on loopback, with a name server of the test's.

#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests, too")]

#[path = "dns/dialling.rs"]
mod dialling;
#[path = "dns/proofs.rs"]
mod proofs;
#[path = "dns/resolving.rs"]
mod resolving;

use household::Config;
use server::{
    s2s::{
        dial::{Dialer, Patience},
        resolve::{Endpoint, NoAnswer, Resolver},
    },
    world::Dice,
};
use std::{path::Path, sync::Arc, time::Duration};
use system_tests::dns::NameServer;

/// Draws nothing but zeros: the first of those that are left.
struct Zeros;

impl Dice for Zeros {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(0);
    }
}

/// For what should come at once, on a machine that is busy.
const PATIENT: Duration = Duration::from_secs(20);
/// For what never comes.
const IMPATIENT: Duration = Duration::from_millis(300);

fn resolver(names: &NameServer, patience: Duration) -> Resolver {
    Resolver::with(vec![names.address()], names.anchors(), patience)
}

/// A house that lives on loopback.
const ALONE: &str = "domain = 'home.example'\n[listen]\ns2s = ['127.0.0.1:5269']\ns2s_tls = []";

fn dialer(names: &NameServer) -> Dialer {
    dialer_of(ALONE, names, Patience::default())
}

fn dialer_of(toml: &str, names: &NameServer, patience: Patience) -> Dialer {
    let config = Config::from_texts([(Path::new("hearth.toml"), toml)]).unwrap();
    Dialer::with(&config, Arc::new(Zeros), resolver(names, PATIENT), patience)
}

/// `host:port` of each; `+` before direct TLS, `!` after what is proven.
fn shown(endpoints: Result<Vec<Endpoint>, NoAnswer>) -> String {
    let one = |it: Endpoint| {
        let (plus, proven) = (
            if it.direct { "+" } else { "" },
            if it.secure { "!" } else { "" },
        );
        format!("{plus}{}:{}{proven}", it.host, it.port)
    };
    match endpoints {
        Ok(endpoints) => endpoints.into_iter().map(one).collect::<Vec<_>>().join(" "),
        Err(no_answer) => format!("{no_answer:?}"),
    }
}
