//! Why a name server did not carry out an update (RFC 2136 §2.2, RFC 8945 §5.2), in words that lead on.

use super::super::provider::{Failure, FailureKind};
use hickory_resolver::proto::{
    op::{Message, ResponseCode},
    rr::rdata::tsig::TsigError,
};
use std::{io, net::SocketAddr};

/// No answer.
pub(super) fn lost(server: SocketAddr, error: &io::Error) -> Failure {
    let why = match error.kind() {
        io::ErrorKind::TimedOut => "it is silent".to_owned(),
        io::ErrorKind::UnexpectedEof => "it hangs up".to_owned(),
        _ => error.to_string(),
    };
    let text = format!("the name server {server} does not answer: {why}");
    Failure::new(
        FailureKind::Down,
        text,
        "it is asked again; does it run, and is dns.server right?",
    )
}

/// What an answer says against it; `None` where it was done.
pub(super) fn refused(server: SocketAddr, answer: &Message) -> Option<Failure> {
    let signature = answer
        .signature()
        .and_then(|record| record.data.error.as_ref());
    let (kind, text, next) = match (answer.response_code, signature) {
        (ResponseCode::NoError, None) => return None,
        (_, Some(TsigError::BadKey)) => (
            FailureKind::Token,
            "does not know the key, or not for this zone".to_owned(),
            "correct dns.tsig_name and dns.tsig_algorithm, or allow the key to update the zone there",
        ),
        (_, Some(TsigError::BadSig | TsigError::BadTrunc)) => (
            FailureKind::Token,
            "has another secret for the key".to_owned(),
            "copy its secret into dns.token_file",
        ),
        (_, Some(TsigError::BadTime)) => (
            FailureKind::Token,
            "has another time".to_owned(),
            "set the clocks of both machines by a time server",
        ),
        (ResponseCode::Refused, _) => (
            FailureKind::Scope,
            "does not let this key change records".to_owned(),
            "allow updates for the key there (BIND: update-policy, Knot: acl with action update)",
        ),
        (ResponseCode::NotAuth | ResponseCode::NotZone, _) => (
            FailureKind::Zone,
            "does not keep the zone, or not as its first server".to_owned(),
            "point dns.server to the primary name server of the zone",
        ),
        (ResponseCode::ServFail, _) => (
            FailureKind::Down,
            "is out of order".to_owned(),
            "it is asked again; see its log",
        ),
        (code, _) => (
            FailureKind::Refused,
            format!("does not take a record: {code}"),
            "see its log",
        ),
    };
    Some(Failure::new(
        kind,
        format!("the name server {server} {text}"),
        next,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_resolver::proto::op::OpCode;

    #[test]
    fn each_refusal_leads_on() {
        let server = SocketAddr::from(([192, 0, 2, 1], 53));
        for (code, kind) in [
            (ResponseCode::NoError, None),
            (ResponseCode::Refused, Some(FailureKind::Scope)),
            (ResponseCode::NotAuth, Some(FailureKind::Zone)),
            (ResponseCode::NotZone, Some(FailureKind::Zone)),
            (ResponseCode::ServFail, Some(FailureKind::Down)),
            (ResponseCode::FormErr, Some(FailureKind::Refused)),
        ] {
            let answer = Message::error_msg(7, OpCode::Update, code);
            let failure = refused(server, &answer);
            assert_eq!(failure.as_ref().map(|it| it.kind), kind, "{code}");
            assert!(failure.is_none_or(|it| !it.next.is_empty()));
        }
    }
}
