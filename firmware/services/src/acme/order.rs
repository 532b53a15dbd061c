//! One order (RFC 8555 §7.4), from the names to the chain, by one way of proving.

use super::{
    challenge::{Claim, Places},
    limits::{CHAIN_BYTES_MAX, ORDER_MAX, POLL_MAX, POLL_MIN},
    line::Line,
    record::{ORDER, OrderRecord},
    trouble::Trouble,
    wish::Way,
};
use instant_acme::{
    Account, AuthorizationStatus, CertificateIdentifier, ChallengeStatus, Error, Identifier,
    NewOrder, Order, OrderStatus,
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use server::world::Clock;
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, sleep};

/// Repeats a request for as long as nothing but its nonce is wrong (RFC 8555 §6.5).
macro_rules! patiently {
    ($request:expr) => {{
        let mut left = $crate::acme::limits::NONCES_MAX;
        loop {
            match $request.await {
                Err(error) if left > 0 && $crate::acme::trouble::wants_nonce(&error) => left -= 1,
                outcome => break outcome,
            }
        }
    }};
}
pub(super) use patiently;

/// What an order is made with.
pub(super) struct Clerk<'a> {
    pub(super) account: &'a Account,
    pub(super) directory: &'a str,
    pub(super) line: &'a Line,
    pub(super) places: &'a Places,
    pub(super) clock: &'a Arc<dyn Clock>,
    /// Whether what is given will be used: then a power cut in the middle does not cost another order.
    pub(super) is_for_good: bool,
}

/// Chain and key, PEM; not shown.
pub(super) struct Given {
    pub(super) chain: String,
    pub(super) key: String,
}

impl Clerk<'_> {
    /// Makes an order and brings it to its end. Whatever was shown for it is gone afterwards.
    pub(super) async fn obtain(
        &self,
        names: &[String],
        way: Way,
        replaces: Option<&CertificateIdentifier<'static>>,
    ) -> Result<Given, Trouble> {
        let identifiers = names.iter().cloned().map(Identifier::Dns);
        let identifiers: Vec<_> = identifiers.collect();
        let new = || match replaces {
            Some(replaced) => NewOrder::new(&identifiers).replaces(replaced.clone()),
            None => NewOrder::new(&identifiers),
        };
        let order = patiently!(self.account.new_order(&new()));
        let mut order = order.map_err(|error| self.trouble(&error))?;
        let proven = self.prove(&mut order, way).await;
        self.places.clear().await;
        proven?;
        self.complete(order, names).await
    }

    /// Goes on with an order that was left in the middle; `None` where nothing comes of it any more.
    pub(super) async fn take_up(&self, left: &OrderRecord) -> Option<Given> {
        let order = patiently!(self.account.order(left.url.clone()));
        let mut order = order.ok()?;
        let is_done = matches!(
            order.state().status,
            OrderStatus::Processing | OrderStatus::Valid
        );
        if !is_done {
            return None;
        }
        let chain = self.collect(&mut order).await.ok()?;
        Some(Given {
            chain,
            key: left.key.clone(),
        })
    }

    async fn prove(&self, order: &mut Order, way: Way) -> Result<(), Trouble> {
        if order.state().status != OrderStatus::Pending {
            return Ok(());
        }
        let claims = patiently!(claims(order, way)).map_err(|error| self.trouble(&error))??;
        self.places.show(way, &claims).await?;
        if let Err(error) = set_ready(order, way).await {
            // One proof may have failed before the others were announced.
            let state = patiently!(order.refresh()).map_err(|error| self.trouble(&error))?;
            if state.status != OrderStatus::Invalid {
                return Err(self.trouble(&error));
            }
        }
        match self.settled(order, "check the proofs").await? {
            OrderStatus::Invalid => Err(self.blame(order, way).await),
            _ => Ok(()),
        }
    }

    /// Waits until the order is no longer pending or processing.
    async fn settled(&self, order: &mut Order, what: &str) -> Result<OrderStatus, Trouble> {
        let until = Instant::now() + ORDER_MAX;
        let mut pause = POLL_MIN;
        loop {
            sleep(pause).await;
            let state = patiently!(order.refresh()).map_err(|error| self.trouble(&error))?;
            match state.status {
                OrderStatus::Pending | OrderStatus::Processing if Instant::now() < until => {}
                OrderStatus::Pending | OrderStatus::Processing => return Err(Trouble::slow(what)),
                status => return Ok(status),
            }
            // RFC 8555 §7.5.1: it may say how long it would like us to wait.
            let wished = self.line.again();
            let wished = wished.map(|again| again.saturating_sub(self.clock.now()));
            let wished = wished.map_or(pause * 2, Duration::from_millis);
            pause = wished.clamp(POLL_MIN, POLL_MAX);
        }
    }

    /// Which name it was, and why.
    async fn blame(&self, order: &mut Order, way: Way) -> Trouble {
        let said = order.state().error.clone();
        let mut names = order.authorizations();
        while let Some(next) = names.next().await {
            let Ok(mut authorization) = next else {
                break;
            };
            if patiently!(authorization.refresh()).is_err() {
                break;
            }
            if authorization.status == AuthorizationStatus::Invalid {
                let mut challenges = authorization.challenges.iter();
                let failed = challenges.find(|it| it.status == ChallengeStatus::Invalid);
                let problem = failed.and_then(|it| it.error.as_ref()).or(said.as_ref());
                let name = authorization.identifier().to_string();
                return Trouble::unproven(&name, way, problem);
            }
        }
        Trouble::unproven("one of the names", way, said.as_ref())
    }

    /// RFC 8555 §7.4: asks for the certificate of a new key, which is kept before the authority is told of
    /// it.
    async fn complete(&self, mut order: Order, names: &[String]) -> Result<Given, Trouble> {
        let (request, key) = request(names).map_err(|error| Trouble::inside(&error.to_string()))?;
        if self.is_for_good {
            let left = OrderRecord {
                directory: self.directory.to_owned(),
                names: names.to_vec(),
                url: order.url().to_owned(),
                key: key.clone(),
            };
            self.places.books.write(vec![ORDER.put(&(), &left)]).await?;
        }
        let finalized = patiently!(order.finalize_csr(&request));
        finalized.map_err(|error| self.trouble(&error))?;
        let chain = self.collect(&mut order).await?;
        Ok(Given { chain, key })
    }

    async fn collect(&self, order: &mut Order) -> Result<String, Trouble> {
        if order.state().status != OrderStatus::Valid {
            self.settled(order, "make the certificate").await?;
        }
        if let Some(problem) = order.state().error.clone() {
            return Err(self.trouble(&Error::Api(problem)));
        }
        let chain = patiently!(order.certificate()).map_err(|error| self.trouble(&error))?;
        match chain {
            Some(chain) if chain.len() <= CHAIN_BYTES_MAX => Ok(chain),
            Some(_) => Err(Trouble::unusable("the authority's certificate is too long")),
            None => Err(Trouble::slow("make the certificate")),
        }
    }

    fn trouble(&self, error: &Error) -> Trouble {
        Trouble::of(error, self.directory, self.line, self.clock.now())
    }
}

/// What is to be shown for the names that are not proven yet.
async fn claims(order: &mut Order, way: Way) -> Result<Result<Vec<Claim>, Trouble>, Error> {
    let mut claims = Vec::new();
    let mut names = order.authorizations();
    while let Some(next) = names.next().await {
        let mut authorization = next?;
        if authorization.status == AuthorizationStatus::Valid {
            continue;
        }
        let name = authorization.identifier().to_string();
        let Some(challenge) = authorization.challenge(way.kind()) else {
            return Ok(Err(Trouble::not_offered(&name, way)));
        };
        let proof = challenge.key_authorization();
        claims.push(Claim {
            name,
            token: challenge.token.clone(),
            key_authorization: proof.as_str().to_owned(),
            digest: proof.digest().as_ref().to_vec(),
            dns_value: proof.dns_value(),
        });
    }
    Ok(Ok(claims))
}

/// Tells the authority that it may look. One that it has been told of already is told of again, which it
/// takes.
async fn set_ready(order: &mut Order, way: Way) -> Result<(), Error> {
    let mut names = order.authorizations();
    while let Some(next) = names.next().await {
        let mut authorization = next?;
        if authorization.status == AuthorizationStatus::Valid {
            continue;
        }
        if let Some(mut challenge) = authorization.challenge(way.kind()) {
            patiently!(challenge.set_ready())?;
        }
    }
    Ok(())
}

/// A request for a certificate (RFC 2986) in DER, and its key in PEM: ECDSA with P-256.
fn request(names: &[String]) -> Result<(Vec<u8>, String), rcgen::Error> {
    let mut params = CertificateParams::new(names.to_vec())?;
    params.distinguished_name = DistinguishedName::new();
    let key = KeyPair::generate()?;
    let request = params.serialize_request(&key)?;
    Ok((request.der().to_vec(), key.serialize_pem()))
}
