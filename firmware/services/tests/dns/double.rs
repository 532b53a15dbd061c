//! DigitalOcean's API as it behaves: pages, relative names, dots at the end of targets, scopes, limits; and
//! as it misbehaves, when told to.

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::{Map, Value, json};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
};
use tokio::net::TcpListener;

pub(crate) const TOKEN: &str = "dop_v1_5ecret";

/// What goes wrong with one request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    Status(u16),
    /// Done, and the answer is lost.
    DoneAndGone,
    Html,
    /// Of the right shape, and endless.
    Huge,
    /// Another record than the one that was meant.
    OtherId,
    /// 429 with so many seconds.
    Busy(u64),
    /// A JSON of another kind.
    OtherJson,
}

/// The API. A clone is the same.
#[derive(Clone)]
pub(crate) struct Double(Arc<Mutex<State>>);

pub(crate) struct State {
    /// Records by zone: as the API has them, without the dots.
    pub(crate) zones: BTreeMap<String, Vec<Value>>,
    next_id: u64,
    pub(crate) scopes: BTreeSet<&'static str>,
    /// Method and path of each request.
    pub(crate) heard: Vec<String>,
    /// For the next requests whose method it is.
    pub(crate) faults: VecDeque<(Method, Fault)>,
    /// Somebody asked to remove a whole zone.
    pub(crate) is_zone_gone: bool,
}

impl Double {
    /// With one zone and what a new one has.
    pub(crate) fn new(zone: &str) -> Double {
        let double = Double(Arc::new(Mutex::new(State {
            zones: BTreeMap::new(),
            next_id: 1_000,
            scopes: ["read", "create", "update", "delete"].into(),
            heard: Vec::new(),
            faults: VecDeque::new(),
            is_zone_gone: false,
        })));
        double.state().zones.insert(zone.to_owned(), Vec::new());
        double.add(zone, "SOA", "@", json!({ "data": "1800", "ttl": 1_800 }));
        for server in ["ns1", "ns2"] {
            let data = format!("{server}.{zone}");
            double.add(zone, "NS", "@", json!({ "data": data, "ttl": 1_800 }));
            double.add(
                zone,
                "A",
                server,
                json!({ "data": "127.0.0.1", "ttl": 1_800 }),
            );
        }
        double
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// A record that somebody made in the web page. Gives its id.
    pub(crate) fn add(&self, zone: &str, kind: &str, name: &str, fields: Value) -> u64 {
        let mut state = self.state();
        state.next_id += 1;
        let id = state.next_id;
        let record = record(id, kind, name, &fields);
        state.zones.get_mut(zone).unwrap().push(record);
        id
    }

    pub(crate) fn fail(&self, method: Method, fault: Fault) {
        self.state().faults.push_back((method, fault));
    }

    /// The records but for those that a new zone has: `id kind name data`.
    pub(crate) fn shown(&self, zone: &str) -> Vec<String> {
        let state = self.state();
        let ours = |it: &&Value| {
            !["NS", "SOA"].contains(&it["type"].as_str().unwrap()) && it["data"] != "127.0.0.1"
        };
        let line = |it: &Value| {
            let word = |key: &str| it[key].as_str().unwrap_or_default().to_owned();
            let port = it["port"]
                .as_u64()
                .map_or(String::new(), |port| format!("{port} "));
            format!("{} {} {port}{}", word("type"), word("name"), word("data"))
        };
        state.zones[zone].iter().filter(ours).map(line).collect()
    }

    /// How often each method was heard since it was last asked.
    pub(crate) fn heard(&self) -> Vec<String> {
        std::mem::take(&mut self.state().heard)
    }

    /// Listens on loopback, for as long as the test runs.
    pub(crate) async fn serve(&self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let double = self.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let double = double.clone();
                tokio::spawn(async move {
                    let answer = service_fn(|request| double.answer(request));
                    let _ = http1::Builder::new()
                        .serve_connection(TokioIo::new(socket), answer)
                        .await;
                });
            }
        });
        address
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, Infallible> {
        let (parts, body) = request.into_parts();
        let body = body
            .collect()
            .await
            .map(http_body_util::Collected::to_bytes)
            .unwrap_or_default();
        let mut state = self.state();
        state.heard.push(format!("{} {}", parts.method, parts.uri));
        let bearer = parts.headers.get(header::AUTHORIZATION);
        let expected = format!("Bearer {TOKEN}");
        if bearer.is_none_or(|bearer| bearer.as_bytes() != expected.as_bytes()) {
            return Ok(sent(refusal(
                401,
                "unauthorized",
                "Unable to authenticate you",
            )));
        }
        let at = state
            .faults
            .iter()
            .position(|(method, _)| *method == parts.method);
        let fault = at
            .and_then(|at| state.faults.remove(at))
            .map(|(_, fault)| fault);
        if let Some(early) = fault.and_then(early) {
            return Ok(early);
        }
        let path = parts.uri.path().trim_start_matches("/v2/domains/");
        let query = parts.uri.query().unwrap_or_default();
        let mut answer = state.carry_out(&parts.method, path, query, &body);
        match fault {
            Some(Fault::OtherId) => answer.1["domain_record"]["id"] = json!(1),
            Some(Fault::DoneAndGone) => {
                answer = refusal(504, "gateway_timeout", "Gateway Timeout");
            }
            _ => {}
        }
        Ok(sent(answer))
    }
}

/// What is answered without anything being done.
fn early(fault: Fault) -> Option<Response<Full<Bytes>>> {
    Some(match fault {
        Fault::Status(status) => sent(refusal(status, "server_error", "Server Error")),
        Fault::Busy(seconds) => {
            let mut busy = sent(refusal(
                429,
                "too_many_requests",
                "API Rate limit exceeded.",
            ));
            busy.headers_mut().insert("retry-after", seconds.into());
            busy
        }
        Fault::Html => Response::new(Full::from("<html>hello</html>")),
        Fault::Huge => {
            let endless = format!("{{\"domain_records\":[{}", "{},".repeat(1_000_000));
            Response::new(Full::from(endless))
        }
        Fault::OtherJson => Response::new(Full::from("{\"domain_records\":[{\"id\":-1}]}")),
        Fault::OtherId | Fault::DoneAndGone => return None,
    })
}

/// A status and a body.
type Answer = (u16, Value);

impl State {
    fn carry_out(&mut self, method: &Method, path: &str, query: &str, body: &[u8]) -> Answer {
        let words: Vec<&str> = path.split('/').collect();
        let scope = match *method {
            Method::GET => "read",
            Method::POST => "create",
            Method::PATCH | Method::PUT => "update",
            _ => "delete",
        };
        if !self.scopes.contains(scope) {
            return refusal(
                403,
                "forbidden",
                "You are not authorized to perform this operation",
            );
        }
        let missing = || {
            refusal(
                404,
                "not_found",
                "The resource you were accessing could not be found.",
            )
        };
        if !self.zones.contains_key(words[0]) {
            return missing();
        }
        match (method, &words[..]) {
            (&Method::GET, [zone]) => (200, json!({ "domain": { "name": zone, "ttl": 1800 } })),
            (&Method::DELETE, [_]) => {
                self.is_zone_gone = true;
                (204, Value::Null)
            }
            (&Method::GET, [zone, "records"]) => self.page(zone, query),
            (&Method::POST, [zone, "records"]) => self.create(zone, body),
            (method, [zone, "records", id]) => {
                let id: u64 = id.parse().unwrap_or(0);
                let records = self.zones.get_mut(*zone).unwrap();
                let Some(at) = records.iter().position(|it| it["id"] == id) else {
                    return missing();
                };
                if *method == Method::DELETE {
                    records.remove(at);
                    return (204, Value::Null);
                }
                self.patch(zone, at, body)
            }
            _ => missing(),
        }
    }

    fn page(&self, zone: &str, query: &str) -> Answer {
        let value = |key: &str| {
            let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs
                .find(|(name, _)| *name == key)
                .map(|(_, value)| value.to_owned())
        };
        let number =
            |key: &str, default: usize| value(key).map_or(default, |it| it.parse().unwrap());
        let (page, size) = (number("page", 1), number("per_page", 20).min(200));
        let (kind, name) = (value("type"), value("name"));
        let is_meant = |it: &&Value| {
            let own = it["name"].as_str().unwrap();
            let whole = if own == "@" {
                zone.to_owned()
            } else {
                format!("{own}.{zone}")
            };
            kind.as_ref().is_none_or(|kind| it["type"] == **kind)
                && name.as_ref().is_none_or(|name| *name == whole)
        };
        let all: Vec<&Value> = self.zones[zone].iter().filter(is_meant).collect();
        let from = (page - 1) * size;
        let shown: Vec<&&Value> = all.iter().skip(from).take(size).collect();
        let mut pages = Map::new();
        if from + size < all.len() {
            let next = format!(
                "https://elsewhere.example/v2/domains/{zone}/records?page={}",
                page + 1
            );
            pages.insert("next".into(), json!(next));
        }
        let links = json!({ "pages": pages });
        (
            200,
            json!({ "domain_records": shown, "links": links, "meta": { "total": all.len() } }),
        )
    }

    fn create(&mut self, zone: &str, body: &[u8]) -> Answer {
        let Ok(fields) = serde_json::from_slice::<Value>(body) else {
            return refusal(400, "bad_request", "unreadable");
        };
        let word = |key: &str| fields[key].as_str().unwrap_or_default().to_owned();
        let (kind, name) = (word("type"), word("name"));
        if let Some(refusal) = self.faults_of(zone, &kind, &name, &fields) {
            return refusal;
        }
        self.next_id += 1;
        let record = record(self.next_id, &kind, &name, &fields);
        self.zones.get_mut(zone).unwrap().push(record.clone());
        (201, json!({ "domain_record": record }))
    }

    fn patch(&mut self, zone: &str, at: usize, body: &[u8]) -> Answer {
        let fields: Value = serde_json::from_slice(body).unwrap_or_default();
        let mut merged = self.zones[zone][at].clone();
        // What is stored has no dot, and is checked again.
        for (key, value) in fields.as_object().into_iter().flatten() {
            merged[key] = value.clone();
        }
        let kind = merged["type"].as_str().unwrap().to_owned();
        if let Some(refusal) = missing_dot(&kind, &merged) {
            return refusal;
        }
        let (id, name) = (
            merged["id"].as_u64().unwrap(),
            merged["name"].as_str().unwrap().to_owned(),
        );
        let record = record(id, &kind, &name, &merged);
        self.zones.get_mut(zone).unwrap()[at] = record.clone();
        (200, json!({ "domain_record": record }))
    }

    fn faults_of(&self, zone: &str, kind: &str, name: &str, fields: &Value) -> Option<Answer> {
        let refuse = |text: &str| Some(refusal(422, "unprocessable_entity", text));
        if fields["ttl"].as_u64().is_some_and(|ttl| ttl < 30) {
            return refuse("Ttl must be at least 30");
        }
        if name.ends_with(zone) {
            return refuse("Name: only valid relative to the domain");
        }
        let mut beside = self.zones[zone].iter().filter(|it| it["name"] == name);
        let is_alias = |it: &Value| it["type"] == "CNAME";
        if beside.any(|it| (kind == "CNAME") || is_alias(it)) {
            return refuse("CNAME records cannot share a name with other records");
        }
        missing_dot(kind, fields)
    }
}

fn missing_dot(kind: &str, fields: &Value) -> Option<Answer> {
    let data = fields["data"].as_str().unwrap_or_default();
    let is_target = ["CNAME", "SRV", "CAA", "MX", "NS"].contains(&kind);
    (is_target && data != "@" && !data.ends_with('.')).then(|| {
        refusal(
            422,
            "unprocessable_entity",
            "Data needs to end with a dot (.)",
        )
    })
}

/// A record as it is stored and answered: no dot at the end, and `null` where there is nothing.
fn record(id: u64, kind: &str, name: &str, fields: &Value) -> Value {
    let data = fields["data"].as_str().unwrap_or_default();
    let data = if data == "." || kind == "TXT" {
        data
    } else {
        data.strip_suffix('.').unwrap_or(data)
    };
    json!({
        "id": id, "type": kind, "name": name, "data": data, "ttl": fields["ttl"],
        "priority": fields["priority"], "port": fields["port"], "weight": fields["weight"],
        "flags": fields["flags"], "tag": fields["tag"],
    })
}

fn refusal(status: u16, id: &str, message: &str) -> Answer {
    (
        status,
        json!({ "id": id, "message": message, "request_id": "4d9d8375" }),
    )
}

fn sent((status, value): Answer) -> Response<Full<Bytes>> {
    let body = if value.is_null() {
        Bytes::new()
    } else {
        value.to_string().into()
    };
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}
