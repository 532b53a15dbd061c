//! A certificate authority in memory, for what a well-behaved one never does: limits, advice when to renew,
//! nonsense. It checks no signatures; pebble does that in a journey.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, PKCS_ECDSA_P256_SHA256,
    PublicKeyData, SerialNumber, SignatureAlgorithm, date_time_ymd,
};
use serde_json::{Value, json};
use server::world::{Clock, Timestamp};
use services::{
    acme::{Doing, Outside},
    http::{Error, Reply},
};
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};
use x509_parser::{certification_request::X509CertificationRequest, prelude::FromDer};

pub(crate) const DIRECTORY: &str = "https://ca.example/directory";
const ERROR: &str = "urn:ietf:params:acme:error:";

/// What it gives instead of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gift {
    Good,
    OtherKey,
    OtherNames,
    Garbage,
    Over,
    Endless,
}

/// Kind, name, token.
type Look = dyn Fn(&str, &str, &str) -> bool + Send;

/// Everything that a test says or looks at.
pub(crate) struct Shape {
    pub(crate) lifetime: Duration,
    /// Window of its advice, as ages of the certificate; `None`: it gives none.
    pub(crate) advice: Option<(Duration, Duration)>,
    /// Kinds of proofs that it does not find.
    pub(crate) blind_to: BTreeSet<&'static str>,
    pub(crate) gift: Gift,
    /// New orders are refused until then.
    pub(crate) limited_until: Option<Timestamp>,
    pub(crate) is_away: bool,
    /// Every so many-th nonce is not good.
    pub(crate) bad_nonces: Option<usize>,
    /// It says that it has no such account.
    pub(crate) is_forgetful: bool,
    /// It has lost its tongue once a certificate was made.
    pub(crate) is_silent_after_finalizing: bool,
    /// What is looked at for a proof: kind, name, token.
    pub(crate) look: Box<Look>,
    pub(crate) requests: usize,
    pub(crate) accounts: usize,
    /// Names of each order, and whether it said that it replaces another certificate.
    pub(crate) orders: Vec<(Vec<String>, bool)>,
    /// Directories that orders were made at.
    pub(crate) places: Vec<String>,
    /// Kinds of proofs that were looked at.
    pub(crate) looked_at: Vec<String>,
    pub(crate) revoked: usize,
    /// One for each order: of each name, whether it is proven.
    proven: Vec<Vec<Option<bool>>>,
    given: Vec<Option<String>>,
    posts: usize,
}

#[derive(Clone)]
pub(crate) struct Authority {
    clock: Arc<dyn Clock>,
    shape: Arc<Mutex<Shape>>,
    issuer: Arc<Issuer<'static, KeyPair>>,
}

/// A public key that somebody else has the other half of.
struct Public(Vec<u8>);

impl PublicKeyData for Public {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}

impl Authority {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Authority {
        let mut root = CertificateParams::new(vec![]).expect("no names");
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        root.distinguished_name
            .push(DnType::CommonName, "An authority");
        let key = KeyPair::generate().expect("a key");
        Authority {
            clock,
            issuer: Arc::new(Issuer::new(root, key)),
            shape: Arc::new(Mutex::new(Shape {
                lifetime: Duration::from_hours(45 * 24),
                advice: None,
                blind_to: BTreeSet::new(),
                gift: Gift::Good,
                limited_until: None,
                is_away: false,
                bad_nonces: None,
                is_forgetful: false,
                is_silent_after_finalizing: false,
                look: Box::new(|_, _, _| true),
                requests: 0,
                accounts: 0,
                orders: vec![],
                places: vec![],
                looked_at: vec![],
                revoked: 0,
                proven: vec![],
                given: vec![],
                posts: 0,
            })),
        }
    }

    pub(crate) fn shape(&self) -> MutexGuard<'_, Shape> {
        self.shape.lock().expect("no test panics in there")
    }

    fn answer(&self, request: &Request<Bytes>) -> Result<Reply, Error> {
        let mut shape = self.shape();
        if shape.is_away {
            return Err(services::http::Error::unreachable("nobody is there"));
        }
        shape.requests += 1;
        let path = request.uri().path().to_owned();
        let words: Vec<_> = path.split('/').skip(1).collect();
        let body: Value = serde_json::from_slice(request.body()).unwrap_or_default();
        let payload = body["payload"].as_str().unwrap_or_default();
        let payload = URL_SAFE_NO_PAD.decode(payload).expect("base64url");
        let payload: Value = serde_json::from_slice(&payload).unwrap_or_default();
        if request.method() == http::Method::POST {
            shape.posts += 1;
            let posts = shape.posts;
            if shape
                .bad_nonces
                .is_some_and(|each| posts.is_multiple_of(each))
            {
                return Ok(problem(400, "badNonce", "another nonce, please"));
            }
        }
        let number = |at: usize| words.get(at).and_then(|word| word.parse::<usize>().ok());
        Ok(match (words[0], number(1), number(2)) {
            ("directory" | "staging", ..) => directory(words[0], shape.advice.is_some()),
            ("nonce", ..) => reply(200, &json!(null), None),
            ("account", ..) if words.len() == 1 => {
                shape.accounts += 1;
                shape.is_forgetful = false;
                reply(201, &json!({"status": "valid"}), Some("account/1".into()))
            }
            ("account", ..) => reply(200, &json!({"status": "valid"}), None),
            ("orders", ..) => self.order(&mut shape, words[1], &payload),
            ("authorization", Some(order), Some(name)) => authorization(&shape, order, name),
            ("challenge", Some(order), Some(name)) => check(&mut shape, order, name, words[3]),
            ("order", Some(order), _) => state(&shape, order),
            ("finalize", Some(order), _) => self.finalize(&mut shape, order, &payload),
            ("certificate", Some(order), _) if !shape.is_silent_after_finalizing => {
                let chain = shape.given[order].clone().expect("it was made");
                text(200, chain)
            }
            ("renewal", ..) => Authority::advise(&shape),
            ("revoke", ..) => {
                shape.revoked += 1;
                reply(200, &json!(null), None)
            }
            _ => problem(
                500,
                "serverInternal",
                "I have forgotten what I wanted to say",
            ),
        })
    }

    fn order(&self, shape: &mut Shape, place: &str, payload: &Value) -> Reply {
        if shape.is_forgetful {
            return problem(400, "accountDoesNotExist", "who are you?");
        }
        if let Some(until) = shape
            .limited_until
            .filter(|until| *until > self.clock.now())
        {
            let mut refused = problem(
                429,
                "rateLimited",
                "too many certificates for this set of names",
            );
            let seconds = (until - self.clock.now()) / 1_000;
            refused.headers.insert("retry-after", seconds.into());
            return refused;
        }
        let identifiers = payload["identifiers"].as_array().expect("names");
        let names = identifiers
            .iter()
            .map(|it| it["value"].as_str().expect("a name").to_owned());
        let names: Vec<_> = names.collect();
        shape.proven.push(vec![None; names.len()]);
        shape.given.push(None);
        shape.orders.push((names, payload["replaces"].is_string()));
        shape.places.push(place.to_owned());
        let number = shape.orders.len() - 1;
        let mut order = state(shape, number);
        order.status = StatusCode::CREATED;
        let location = format!("https://ca.example/order/{number}");
        let location = HeaderValue::from_str(&location).expect("ASCII");
        order.headers.insert("location", location);
        if let Some(replaced) = payload["replaces"].as_str() {
            let mut body: Value = serde_json::from_slice(&order.body).expect("ours");
            body["replaces"] = json!(replaced);
            order.body = body.to_string().into();
        }
        order
    }

    fn finalize(&self, shape: &mut Shape, order: usize, payload: &Value) -> Reply {
        let request = URL_SAFE_NO_PAD.decode(payload["csr"].as_str().expect("a request"));
        let request = request.expect("base64url");
        let (_, request) = X509CertificationRequest::from_der(&request).expect("a request");
        let public = &request
            .certification_request_info
            .subject_pki
            .subject_public_key;
        let mut public = Public(public.data.to_vec());
        if shape.gift == Gift::OtherKey {
            public = Public(KeyPair::generate().expect("a key").der_bytes().to_vec());
        }
        let names = match shape.gift {
            Gift::OtherNames => vec!["other.example".to_owned()],
            _ => shape.orders[order].0.clone(),
        };
        let mut leaf = CertificateParams::new(names).expect("names");
        let begins = match shape.gift {
            Gift::Over => Duration::from_secs(1_000),
            _ => Duration::from_millis(self.clock.now()),
        };
        leaf.not_before = date_time_ymd(1970, 1, 1) + begins;
        leaf.not_after = leaf.not_before + shape.lifetime;
        leaf.use_authority_key_identifier_extension = true;
        leaf.serial_number = Some(SerialNumber::from(order as u64 + 1));
        let leaf = leaf
            .signed_by(&public, &self.issuer)
            .expect("a certificate");
        shape.given[order] = Some(match shape.gift {
            Gift::Garbage => "what you asked for".to_owned(),
            Gift::Endless => leaf.pem().repeat(500),
            _ => leaf.pem(),
        });
        state(shape, order)
    }

    fn advise(shape: &Shape) -> Reply {
        let Some((start, end)) = shape.advice else {
            return problem(404, "malformed", "no advice");
        };
        // For the newest; its age is known from when it was made, which is when it was ordered.
        let given = shape
            .given
            .iter()
            .rev()
            .flatten()
            .next()
            .expect("one was made");
        let known = server::tls::Certificate::of_pem(given.as_bytes()).expect("ours");
        let date = |age: Duration| {
            let ms = known.begins + age.as_millis() as u64;
            jiff::Timestamp::from_millisecond(ms as i64)
                .expect("this century")
                .to_string()
        };
        let window = json!({"suggestedWindow": {"start": date(start), "end": date(end)}});
        let mut advice = reply(200, &window, None);
        advice.headers.insert("retry-after", 21_600.into());
        advice
    }
}

impl Outside for Authority {
    fn send(&self, request: Request<Bytes>) -> Doing<'static, Result<Reply, Error>> {
        let answer = self.answer(&request);
        Box::pin(async move { answer })
    }
}

fn directory(place: &str, has_advice: bool) -> Reply {
    let base = "https://ca.example";
    let mut directory = json!({
        "newNonce": format!("{base}/nonce"),
        "newAccount": format!("{base}/account"),
        "newOrder": format!("{base}/orders/{place}"),
        "revokeCert": format!("{base}/revoke"),
        "keyChange": format!("{base}/key"),
        "meta": {"caaIdentities": ["ca.example"]},
    });
    if has_advice {
        directory["renewalInfo"] = json!(format!("{base}/renewal"));
    }
    reply(200, &directory, None)
}

fn authorization(shape: &Shape, order: usize, name: usize) -> Reply {
    let word = |proven| match proven {
        None => "pending",
        Some(true) => "valid",
        Some(false) => "invalid",
    };
    let proven = shape.proven[order][name];
    let challenge = |kind: &str| {
        let mut challenge = json!({
            "type": kind,
            "url": format!("https://ca.example/challenge/{order}/{name}/{kind}"),
            "token": format!("token-{order}-{name}"),
            "status": word(proven),
        });
        if proven == Some(false) {
            challenge["error"] = json!({
                "type": format!("{ERROR}connection"), "detail": "Connection refused.", "status": 400
            });
        }
        challenge
    };
    let challenges = ["http-01", "dns-01", "tls-alpn-01"].map(challenge);
    let body = json!({
        "identifier": {"type": "dns", "value": shape.orders[order].0[name]},
        "status": word(proven),
        "challenges": challenges,
    });
    reply(200, &body, None)
}

fn check(shape: &mut Shape, order: usize, name: usize, kind: &str) -> Reply {
    let asked = shape.orders[order].0[name].clone();
    let token = format!("token-{order}-{name}");
    let is_there = (shape.look)(kind, &asked, &token) && !shape.blind_to.contains(kind);
    shape.proven[order][name] = Some(is_there);
    shape.looked_at.push(kind.to_owned());
    let url = format!("https://ca.example/challenge/{order}/{name}/{kind}");
    let body = json!({"type": kind, "url": url, "token": token, "status": "processing"});
    reply(200, &body, None)
}

fn state(shape: &Shape, order: usize) -> Reply {
    let proven = &shape.proven[order];
    let status = if shape.given[order].is_some() {
        "valid"
    } else if proven.contains(&Some(false)) {
        "invalid"
    } else if proven.contains(&None) {
        "pending"
    } else {
        "ready"
    };
    let names = 0..proven.len();
    let urls = names.map(|name| format!("https://ca.example/authorization/{order}/{name}"));
    let mut body = json!({
        "status": status,
        "authorizations": urls.collect::<Vec<_>>(),
        "finalize": format!("https://ca.example/finalize/{order}"),
    });
    if status == "valid" {
        body["certificate"] = json!(format!("https://ca.example/certificate/{order}"));
    }
    reply(200, &body, None)
}

fn problem(status: u16, kind: &str, detail: &str) -> Reply {
    let body = json!({"type": format!("{ERROR}{kind}"), "detail": detail, "status": status});
    reply(status, &body, None)
}

fn reply(status: u16, body: &Value, location: Option<String>) -> Reply {
    let mut reply = text(status, body.to_string());
    if let Some(path) = location {
        let location = HeaderValue::from_str(&format!("https://ca.example/{path}"));
        reply.headers.insert("location", location.expect("ASCII"));
    }
    reply
}

fn text(status: u16, body: String) -> Reply {
    let mut headers = HeaderMap::new();
    headers.insert("replay-nonce", HeaderValue::from_static("bm9uY2U"));
    Reply {
        status: StatusCode::from_u16(status).expect("a status"),
        headers,
        body: body.into(),
    }
}
