//! From the SRV records of a domain to the places to try, in order (RFC 2782, XEP-0368 §3). Owns nothing.

use super::{Endpoint, NoAnswer};
use crate::{s2s::dial::limits::SRV_RECORDS_MAX, world::Dice};

/// An SRV record of one of the two services.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Srv {
    pub(super) priority: u16,
    pub(super) weight: u16,
    pub(super) port: u16,
    /// Without the dot at the end: the root is the empty text.
    pub(super) target: String,
    /// Of `_xmpps-server`: TLS from the first byte.
    pub(super) direct: bool,
    /// Validated by DNSSEC.
    pub(super) secure: bool,
}

/// What the name servers said about one of the two services.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Records(Vec<Srv>),
    /// There are none.
    Nothing,
    /// No answer, and why.
    Failed(String),
    /// The answer is not the owner's.
    Forged,
}

impl Answer {
    /// What ends the call where proofs come through and the other service has no place either.
    fn no_answer(&self) -> Option<NoAnswer> {
        match self {
            Answer::Records(_) | Answer::Nothing => None,
            Answer::Failed(why) => Some(NoAnswer::Failed(why.clone())),
            Answer::Forged => Some(NoAnswer::Forged),
        }
    }
}

/// Where a domain is to be looked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// At these, which are not in order yet.
    Records(Vec<Srv>),
    /// At its own addresses (RFC 6120 §3.2.2).
    Itself,
    /// Nowhere: it says so.
    NotOffered,
    /// One service is not offered, and of the other one nothing is known now.
    Later(NoAnswer),
}

/// Chooses the way. A service with the root as its only target is not offered (RFC 6120 §3.2.1 step 3), and
/// one record of either kind is enough to look nowhere else (XEP-0368 §5). Where there is no answer, the
/// domain itself is tried (RFC 6120 §3.2.1 step 9), but not where proofs come through: whoever keeps an
/// answer back would choose the way, one without proofs (RFC 7673 §3.1).
pub(super) fn way(direct: Answer, starttls: Answer, proofs: bool) -> Result<Way, NoAnswer> {
    let lost = direct.no_answer().or(starttls.no_answer());
    let mut usable = Vec::new();
    let mut any = false;
    for answer in [direct, starttls] {
        if let Answer::Records(records) = answer {
            any |= !records.is_empty();
            usable.extend(
                records
                    .into_iter()
                    .filter(|it| !it.target.is_empty() && it.port != 0),
            );
        }
    }
    match (usable.is_empty(), any, lost) {
        (false, ..) => Ok(Way::Records(usable)),
        // Its own addresses are not meant, and that it has no server is not said either.
        (true, true, Some(lost)) => Ok(Way::Later(lost)),
        (true, false, Some(lost)) if proofs => Err(lost),
        (true, true, None) => Ok(Way::NotOffered),
        (true, false, _) => Ok(Way::Itself),
    }
}

/// Puts records into the order in which they are tried: by priority; within one, direct TLS first, as
/// XEP-0368 §3 leaves open (one round trip less, and one step less to be tampered with); within these by lot
/// (RFC 2782, "Weight"). At most [`SRV_RECORDS_MAX`] are looked at.
pub(super) fn order(mut records: Vec<Srv>, dice: &dyn Dice) -> Vec<Endpoint> {
    // "All those with weight 0 are placed at the beginning of the list."
    records.sort_by_key(|it| (it.priority, !it.direct, it.weight != 0));
    // The same place twice would be tried twice.
    let mut seen = Vec::new();
    records.retain(|it| {
        let place = (it.target.clone(), it.port, it.direct);
        let new = !seen.contains(&place) && seen.len() < SRV_RECORDS_MAX;
        if new {
            seen.push(place);
        }
        new
    });
    let mut ordered = Vec::new();
    while let Some(first) = records.first() {
        let class = (first.priority, first.direct);
        let alike = records
            .iter()
            .take_while(|it| (it.priority, it.direct) == class);
        let chosen = lot(alike.map(|it| u64::from(it.weight)), dice);
        let srv = records.remove(chosen);
        ordered.push(Endpoint {
            host: srv.target,
            port: srv.port,
            direct: srv.direct,
            priority: srv.priority,
            secure: srv.secure,
        });
    }
    ordered
}

/// The first whose running sum of weights reaches a number drawn from 0 to the sum of all, both included.
fn lot(weights: impl Iterator<Item = u64> + Clone, dice: &dyn Dice) -> usize {
    let sum: u64 = weights.clone().sum();
    let mut bytes = [0; 8];
    dice.fill(&mut bytes);
    let drawn = u64::from_le_bytes(bytes) % (sum + 1);
    let mut running = 0;
    let reached = |weight: u64| {
        running += weight;
        running >= drawn
    };
    weights
        .map(reached)
        .position(|reached| reached)
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// Draws the same numbers again and again, in turn.
    struct Loaded(Vec<u64>, AtomicU64);

    impl Dice for Loaded {
        fn fill(&self, bytes: &mut [u8]) {
            let turn = self.1.fetch_add(1, Ordering::Relaxed) as usize;
            bytes.copy_from_slice(&self.0[turn % self.0.len()].to_le_bytes());
        }
    }

    fn loaded(draws: &[u64]) -> Loaded {
        Loaded(draws.to_vec(), AtomicU64::new(0))
    }

    /// `priority weight target`, with a `+` before the target of direct TLS.
    fn records(texts: &[&str]) -> Vec<Srv> {
        let parse = |text: &&str| {
            let words: Vec<&str> = text.split(' ').collect();
            let target = words[2].trim_start_matches('+');
            Srv {
                priority: words[0].parse().unwrap(),
                weight: words[1].parse().unwrap(),
                port: 5269,
                target: target.trim_end_matches('.').to_owned(),
                direct: words[2].starts_with('+'),
                secure: false,
            }
        };
        texts.iter().map(parse).collect()
    }

    #[test]
    fn priority_then_direct_tls_then_lot() {
        let all: &[&str] = &[
            "20 0 c", "10 30 a", "10 0 b", "10 60 d", "10 5 +e", "20 7 +f",
        ];
        for (texts, draws, expected) in [
            (all, &[0][..], "e b a d f c"),
            // Of `a` 30 and `d` 60, the draw of 91 is 0 again, and 90 the last one.
            (all, &[0, 30, 0, 0], "e a b d f c"),
            (all, &[0, 31, 0, 0], "e d b a f c"),
            (all, &[0, 90, 30, 0], "e d a b f c"),
            (all, &[0, 91, 1, 0], "e b a d f c"),
            (&["0 0 a", "0 0 b", "0 0 a"], &[5], "a b"),
            (&[], &[1], ""),
        ] {
            let found = order(records(texts), &loaded(draws));
            let hosts: Vec<&str> = found.iter().map(|it| it.host.as_str()).collect();
            assert_eq!(hosts.join(" "), expected, "{texts:?} {draws:?}");
        }
    }

    #[test]
    fn weights_decide_how_often() {
        let mut first = 0;
        for draw in 0..=100 {
            let found = order(records(&["1 75 a", "1 25 b"]), &loaded(&[draw, 0]));
            first += usize::from(found[0].host == "a");
        }
        assert_eq!(first, 76, "0 to 75 of 0 to 100");
    }

    #[test]
    fn no_more_than_the_limit() {
        let texts: Vec<String> = (0..100).map(|number| format!("1 1 host{number}")).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        assert_eq!(order(records(&texts), &loaded(&[0])).len(), SRV_RECORDS_MAX);
    }

    #[test]
    fn ways() {
        let some = |texts: &[&str]| Answer::Records(records(texts));
        let failed = || Answer::Failed("silence".to_owned());
        const SILENCE: &str = "Failed(\"silence\")";
        const LATER: &str = "Later(Failed(\"silence\"))";
        let shown = |way| match way {
            Ok(Way::Records(records)) => {
                let targets: Vec<String> = records.into_iter().map(|it| it.target).collect();
                targets.join(" ")
            }
            Ok(other) => format!("{other:?}"),
            Err(lost) => format!("{lost:?}"),
        };
        let forged = || Answer::Forged;
        for (direct, starttls, believed, proven) in [
            (some(&["1 1 +a"]), some(&["1 1 b"]), "a b", "a b"),
            (some(&["1 1 +."]), some(&["1 1 b"]), "b", "b"),
            (some(&["1 1 +a"]), some(&["0 0 ."]), "a", "a"),
            (
                some(&["1 1 +."]),
                some(&["0 0 ."]),
                "NotOffered",
                "NotOffered",
            ),
            (
                some(&["1 1 +."]),
                Answer::Nothing,
                "NotOffered",
                "NotOffered",
            ),
            (some(&["1 1 +."]), failed(), LATER, LATER),
            (failed(), some(&["0 0 ."]), LATER, LATER),
            (
                Answer::Nothing,
                some(&["0 0 ."]),
                "NotOffered",
                "NotOffered",
            ),
            (Answer::Nothing, some(&["0 0 .", "1 1 b"]), "b", "b"),
            (Answer::Nothing, Answer::Nothing, "Itself", "Itself"),
            (Answer::Nothing, failed(), "Itself", SILENCE),
            (Answer::Nothing, forged(), "Itself", "Forged"),
            (forged(), failed(), "Itself", "Forged"),
            (failed(), failed(), "Itself", SILENCE),
            (failed(), some(&["1 1 b"]), "b", "b"),
            (forged(), some(&["1 1 b"]), "b", "b"),
        ] {
            let case = format!("{direct:?} {starttls:?}");
            let found = way(direct.clone(), starttls.clone(), false);
            assert_eq!(shown(found), believed, "{case}");
            let found = way(direct, starttls, true);
            assert_eq!(shown(found), proven, "{case}");
        }
    }
}
