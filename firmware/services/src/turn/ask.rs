//! The other end of STUN: the question where we are seen from, and its answer (RFC 8489 §6.3.3). Owns
//! nothing.

use super::wire::{Class, Message, Method, Transaction, Writer, attribute};
use std::net::SocketAddr;

/// A binding request.
pub(crate) fn binding(transaction: Transaction) -> Vec<u8> {
    let mut out = Vec::new();
    Writer::begin(&mut out, Class::Request, Method::Binding, transaction).put_fingerprint();
    out
}

/// What the answer to this very request says; `None` for anything else.
pub(crate) fn seen_from(bytes: &[u8], transaction: Transaction) -> Option<SocketAddr> {
    let message = Message::read(bytes)?;
    let is_answer = message.class == Class::Success
        && message.method == Method::Binding
        && message.transaction == transaction;
    is_answer.then_some(())?;
    message.address(message.attribute(attribute::XOR_MAPPED_ADDRESS)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_answer_to_the_question_counts() {
        let seen: SocketAddr = "9.9.9.9:4711".parse().unwrap();
        let answer = |class, method, transaction| {
            let mut out = Vec::new();
            Writer::begin(&mut out, class, method, transaction)
                .put_address(attribute::XOR_MAPPED_ADDRESS, seen);
            out
        };
        let asked = [7; 12];
        for (class, method, transaction, expected) in [
            (Class::Success, Method::Binding, asked, Some(seen)),
            (Class::Success, Method::Binding, [8; 12], None),
            (Class::Error, Method::Binding, asked, None),
            (Class::Request, Method::Binding, asked, None),
            (Class::Success, Method::Allocate, asked, None),
        ] {
            let answer = answer(class, method, transaction);
            assert_eq!(seen_from(&answer, asked), expected);
            for end in 0..answer.len() {
                assert_eq!(seen_from(&answer[..end], asked), None);
            }
        }
        assert_eq!(seen_from(&binding(asked), asked), None);
    }
}
