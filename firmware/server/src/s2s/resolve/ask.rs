//! One question to name servers and its answer, without the library's types. Owns the two resolvers.

use super::{Family, NoAnswer};
use crate::s2s::{
    dane::Tlsa,
    dial::limits::{
        ANSWER_KEPT_MS_MAX, ANSWERS_KEPT_MAX, NOTHING_KEPT_MS_MAX, PROOFLESS_KEPT_MS,
        PROOFS_KEPT_MS, QUESTION_MS_MAX, QUESTIONS_AGAIN,
    },
};
use hickory_resolver::{
    ResolverBuilder, TokioResolver,
    config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts},
    lookup::Lookup,
    net::{DnsError, NetError, runtime::TokioRuntimeProvider},
    proto::{
        dnssec::{DnssecSummary, TrustAnchors},
        rr::{Name, RData, RecordType},
    },
};
use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::{Instant, timeout};
use tracing::{debug, warn};

/// What can be asked. Names are in A-labels, without the dot at the end.
#[derive(Clone, Copy)]
pub(super) enum Question<'a> {
    Services(&'a str),
    Addresses(&'a str, Family),
    Certificates(&'a str),
    Alias(&'a str),
}

/// The records of an answer, of the one kind that was asked for.
#[derive(Default)]
pub(super) struct Found {
    pub(super) services: Vec<Target>,
    pub(super) addresses: Vec<IpAddr>,
    pub(super) certificates: Vec<Tlsa>,
    /// Another name for the one that was asked about, without the dot at the end.
    pub(super) alias: Option<String>,
    /// Every record, those of aliases included, has a proof.
    pub(super) secure: bool,
}

/// The data of an SRV record; the host without the dot at the end.
pub(super) struct Target {
    pub(super) priority: u16,
    pub(super) weight: u16,
    pub(super) port: u16,
    pub(super) host: String,
}

/// Two resolvers over the same name servers.
pub(super) struct Asking {
    believing: TokioResolver,
    verifying: TokioResolver,
    /// Whether proofs came through when that was last asked.
    proofs: Mutex<Option<(bool, Instant)>>,
}

impl Asking {
    pub(super) fn new(
        nameservers: &[SocketAddr],
        anchors: Arc<TrustAnchors>,
    ) -> Result<Asking, NoAnswer> {
        let make = |verify: bool| {
            let mut builder = builder(nameservers)?;
            set(builder.options_mut(), nameservers.is_empty(), verify);
            if verify {
                builder = builder.with_trust_anchor(anchors.clone());
            }
            builder.build()
        };
        let both = make(false).and_then(|believing| Ok((believing, make(true)?)));
        let (believing, verifying) = both.map_err(|error| {
            warn!(%error, "no name servers");
            NoAnswer::Failed("this machine has no name servers set up".to_owned())
        })?;
        Ok(Asking {
            believing,
            verifying,
            proofs: Mutex::new(None),
        })
    }

    /// What the name servers say, true or not.
    pub(super) async fn believe(&self, question: Question<'_>) -> Result<Found, NoAnswer> {
        ask(&self.believing, question).await
    }

    /// What they say with whether it is proven. Only for name servers that pass proofs on.
    pub(super) async fn verify(&self, question: Question<'_>) -> Result<Found, NoAnswer> {
        ask(&self.verifying, question).await
    }

    /// Whether it is proven that a name is in a zone without signatures: it has an address that nobody
    /// signed, and that nobody had to sign.
    pub(super) async fn is_unsigned(&self, name: &str) -> bool {
        for family in [Family::V4, Family::V6] {
            // Behind an alias it would be somebody else's zone.
            if let Ok(found) = self.verify(Question::Addresses(name, family)).await {
                return !found.secure && found.alias.is_none();
            }
        }
        false
    }

    /// Whether proofs come through: of a record of the root, which everybody can ask for, and of one that it
    /// does not have, since some forwarders pass only what they understand. Name servers that pass none make
    /// every signed domain look forged, and so does a clock that is wrong.
    pub(super) async fn passes_proofs(&self) -> bool {
        let before = *self.proofs();
        if let Some((passed, since)) = before {
            let kept = if passed {
                PROOFS_KEPT_MS
            } else {
                PROOFLESS_KEPT_MS
            };
            if since.elapsed() < Duration::from_millis(kept) {
                return passed;
            }
        }
        let root = async {
            tokio::join!(
                self.verifying.lookup(Name::root(), RecordType::SOA),
                self.verifying.lookup(Name::root(), RecordType::SRV),
            )
        };
        let passes = match timeout(Duration::from_millis(QUESTION_MS_MAX), root).await {
            Ok((Ok(there), Err(absent))) => is_secure(&there) && absent.is_no_records_found(),
            Ok(_) => false,
            // Silence takes nothing away that was there.
            Err(_) => before.is_some_and(|(passed, _)| passed),
        };
        if !passes {
            debug!("the name servers pass no DNSSEC proofs, or the clock is wrong: no DANE");
        }
        *self.proofs() = Some((passes, Instant::now()));
        passes
    }

    fn proofs(&self) -> MutexGuard<'_, Option<(bool, Instant)>> {
        self.proofs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn builder(nameservers: &[SocketAddr]) -> Result<ResolverBuilder<TokioRuntimeProvider>, NetError> {
    if nameservers.is_empty() {
        return TokioResolver::builder_tokio();
    }
    let config = nameservers.iter().map(|address| {
        let on_port = |mut connection: ConnectionConfig| {
            connection.port = address.port();
            connection
        };
        let connections = vec![
            on_port(ConnectionConfig::udp()),
            on_port(ConnectionConfig::tcp()),
        ];
        NameServerConfig::new(address.ip(), true, connections)
    });
    let config = ResolverConfig::from_name_servers(config.collect());
    let provider = TokioRuntimeProvider::default();
    Ok(TokioResolver::builder_with_config(config, provider))
}

fn set(options: &mut ResolverOpts, of_system: bool, verify: bool) {
    options.timeout = Duration::from_millis(QUESTION_MS_MAX);
    options.attempts = QUESTIONS_AGAIN;
    options.edns0 = true;
    options.validate = verify;
    options.cache_size = ANSWERS_KEPT_MAX;
    options.positive_max_ttl = Some(Duration::from_millis(ANSWER_KEPT_MS_MAX));
    options.negative_max_ttl = Some(Duration::from_millis(NOTHING_KEPT_MS_MAX));
    // The chain of aliases needs its proofs, too (RFC 7673 §3.1).
    options.preserve_intermediates = true;
    // The machine's own list of hosts goes with the machine's own name servers.
    options.use_hosts_file = if of_system {
        ResolveHosts::Always
    } else {
        ResolveHosts::Never
    };
}

async fn ask(resolver: &TokioResolver, question: Question<'_>) -> Result<Found, NoAnswer> {
    let (name, kind) = match question {
        Question::Services(name) => (name, RecordType::SRV),
        Question::Addresses(name, Family::V6) => (name, RecordType::AAAA),
        Question::Addresses(name, Family::V4) => (name, RecordType::A),
        Question::Certificates(name) => (name, RecordType::TLSA),
        Question::Alias(name) => (name, RecordType::CNAME),
    };
    // With the dot of the root: no search list is gone through.
    let Ok(name) = Name::from_ascii(format!("{name}.")) else {
        return Err(NoAnswer::Nothing);
    };
    match resolver.lookup(name, kind).await {
        Ok(lookup) => {
            let found = read(&lookup);
            let some = match question {
                Question::Services(_) => !found.services.is_empty(),
                Question::Addresses(..) => !found.addresses.is_empty(),
                Question::Certificates(_) => !found.certificates.is_empty(),
                Question::Alias(_) => found.alias.is_some(),
            };
            some.then_some(found).ok_or(NoAnswer::Nothing)
        }
        Err(error) => Err(no_answer(&error)),
    }
}

fn read(lookup: &Lookup) -> Found {
    let mut found = Found {
        secure: is_secure(lookup),
        ..Found::default()
    };
    for record in lookup.answers() {
        match &record.data {
            RData::SRV(srv) => found.services.push(Target {
                priority: srv.priority,
                weight: srv.weight,
                port: srv.port,
                host: without_dot(&srv.target),
            }),
            RData::A(address) => found.addresses.push(address.0.into()),
            RData::AAAA(address) => found.addresses.push(address.0.into()),
            RData::TLSA(tlsa) => found.certificates.push(Tlsa {
                usage: tlsa.cert_usage.into(),
                selector: tlsa.selector.into(),
                matching: tlsa.matching.into(),
                data: tlsa.cert_data.clone(),
            }),
            RData::CNAME(alias) => found.alias = Some(without_dot(&alias.0)),
            _ => {}
        }
    }
    found
}

fn is_secure(lookup: &Lookup) -> bool {
    matches!(
        DnssecSummary::from_records(lookup.answers().iter()),
        DnssecSummary::Secure
    )
}

fn without_dot(name: &Name) -> String {
    let text = name.to_lowercase().to_ascii();
    text.strip_suffix('.').unwrap_or(&text).to_owned()
}

fn no_answer(error: &NetError) -> NoAnswer {
    if error.is_no_records_found() || error.is_nx_domain() {
        return NoAnswer::Nothing;
    }
    debug!(%error, "no answer from the name servers");
    match error {
        NetError::Dns(DnsError::DnssecBogus) => NoAnswer::Forged,
        // Proven to be without signatures, and without records.
        NetError::Dns(DnsError::Nsec { proof, .. }) if !proof.is_bogus() => NoAnswer::Nothing,
        NetError::Dns(DnsError::Nsec { .. }) => NoAnswer::Forged,
        NetError::Dns(DnsError::ResponseCode(code)) => {
            NoAnswer::Failed(format!("the name servers cannot tell: {code}"))
        }
        NetError::Timeout => NoAnswer::silent(),
        _ => NoAnswer::unreachable(),
    }
}
