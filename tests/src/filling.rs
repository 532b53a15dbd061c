//! What a script leaves to be filled in: `{m}` and its kin.
//!
//! In what is sent, braces may also hold `{70 times TEXT}` and `{base64 TEXT}`, and `\x00` stands
//! for any byte: enough to write down what no XML library would send. `{scram SHA-1 pencil
//! challenge}` answers the SCRAM challenge bound to that name with that password, after a first
//! message sent as `{base64 n,,…}`, and binds `{signature}` to what the server must say then. `{token juliet
//! mine}` proves the token bound to `mine` as that account (XEP-0484), and binds `{proof}` to the answer.

use crate::{addresses::Addresses, scram, token};
use base64::{Engine, prelude::BASE64_STANDARD};
use std::{collections::BTreeMap, fmt};

/// Values bound to the names in braces, for one script.
#[derive(Clone, Debug, Default)]
pub struct Bindings {
    values: BTreeMap<String, String>,
    /// The client's first message of SCRAM, behind its GS2 header.
    first: String,
}

impl Bindings {
    /// Compares a value with what a script says about it; a name not bound yet is bound. The error
    /// is what was wanted.
    pub fn unify(&mut self, said: &str, found: &str) -> Result<(), String> {
        if said == "*" || said == found {
            return Ok(());
        }
        if let Some(name) = name_in_braces(said) {
            let value = self
                .values
                .entry(name.into())
                .or_insert_with(|| found.to_owned());
            return if value == found {
                Ok(())
            } else {
                Err(value.clone())
            };
        }
        let mut wanted = said.to_owned();
        for (name, value) in &self.values {
            wanted = wanted.replace(&format!("{{{name}}}"), value);
        }
        if wanted == found { Ok(()) } else { Err(wanted) }
    }

    /// The name bound to that value, in braces, to write it down in a script.
    pub fn name_of(&self, value: &str) -> Option<String> {
        self.values
            .iter()
            .find(|(_, bound)| *bound == value)
            .map(|(name, _)| format!("{{{name}}}"))
    }

    /// What a script sends, ready for the wire. A name not bound yet gets a value of its own.
    pub fn fill(&mut self, text: &str, addresses: &Addresses) -> Result<Vec<u8>, String> {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once('{') {
            let (inside, after) = behind.split_once('}').ok_or("a `{` without its `}`")?;
            out.push_str(&addresses.outward(before));
            out.push_str(&self.expand(inside, addresses)?);
            rest = after;
        }
        out.push_str(&addresses.outward(rest));
        unescape(&out)
    }

    fn expand(&mut self, inside: &str, addresses: &Addresses) -> Result<String, String> {
        if let Some(text) = inside.strip_prefix("base64 ") {
            let text = addresses.outward_names(text);
            if let Some(first) = text.strip_prefix("n,,") {
                self.first = first.into();
            }
            return Ok(BASE64_STANDARD.encode(unescape(&text)?));
        }
        if let Some(rest) = inside.strip_prefix("scram ") {
            return self.answer(rest);
        }
        if let Some(rest) = inside.strip_prefix("token ") {
            return self.prove(rest, addresses);
        }
        if let Some((count, text)) = inside.split_once(" times ") {
            let count: usize = count
                .parse()
                .map_err(|_| format!("how often? {{{inside}}}"))?;
            return Ok(text.repeat(count));
        }
        if name_in_braces(&format!("{{{inside}}}")).is_none() {
            return Err(format!("cannot fill in {{{inside}}}"));
        }
        let fresh = format!("{inside}-{}", self.values.len() + 1);
        Ok(addresses.outward(self.values.entry(inside.into()).or_insert(fresh)))
    }

    /// `juliet mine`: the client's only message with a token.
    fn prove(&mut self, rest: &str, addresses: &Addresses) -> Result<String, String> {
        let bound = |name: &str| self.values.get(name);
        let (name, token) = rest
            .split_once(' ')
            .and_then(|(name, token)| Some((name, bound(token)?)))
            .ok_or_else(|| format!("cannot fill in {{token {rest}}}"))?;
        let proof = token::prove(&addresses.outward_names(name), token);
        self.values.insert("proof".into(), proof.answer);
        Ok(proof.message)
    }

    /// `SHA-1 pencil challenge`: the client's last message of SCRAM.
    fn answer(&mut self, rest: &str) -> Result<String, String> {
        let words: Vec<&str> = rest.split(' ').collect();
        let [hash, password, name] = words[..] else {
            return Err(format!("cannot fill in {{scram {rest}}}"));
        };
        let challenge = self
            .values
            .get(name)
            .ok_or_else(|| format!("{{{name}}} is not bound yet"))?;
        let last = scram::answer(hash, password, &self.first, challenge)?;
        self.values.insert("signature".into(), last.signature);
        Ok(last.message)
    }
}

impl fmt::Display for Bindings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pairs: Vec<String> = self
            .values
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        f.write_str(&pairs.join(" "))
    }
}

/// The name, where the whole value is one name in braces.
fn name_in_braces(value: &str) -> Option<&str> {
    let name = value.strip_prefix('{')?.strip_suffix('}')?;
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    is_name.then_some(name)
}

/// `\x00` to the byte; everything else as it is.
fn unescape(text: &str) -> Result<Vec<u8>, String> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once("\\x") {
        out.extend_from_slice(before.as_bytes());
        let digits = behind.get(..2).ok_or("two digits stand behind \\x")?;
        out.push(u8::from_str_radix(digits, 16).map_err(|_| format!("no such byte: \\x{digits}"))?);
        rest = &behind[2..];
    }
    out.extend_from_slice(rest.as_bytes());
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> String {
        let mut addresses = Addresses::new("there.example", "-7");
        addresses.add("juliet");
        let mut bindings = Bindings::default();
        bindings.unify("{bound}", "value").unwrap();
        match bindings.fill(text, &addresses) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(why) => format!("error: {why}"),
        }
    }

    #[test]
    fn what_is_filled_in() {
        for (text, filled) in [
            ("<a x='{bound}'/>", "<a x='value'/>"),
            ("<a x='{new}' y='{new}'/>", "<a x='new-2' y='new-2'/>"),
            ("{3 times <a>}", "<a><a><a>"),
            ("a\\x41\\xff", "aA\u{fffd}"),
            (
                "{base64 \\x00juliet\\x00pencil}",
                "AGp1bGlldC03AHBlbmNpbA==",
            ),
            (
                "to='juliet@home.example/a'",
                "to='juliet-7@there.example/a'",
            ),
            ("{", "error: a `{` without its `}`"),
            ("{a b}", "error: cannot fill in {a b}"),
            ("\\xzz", "error: no such byte: \\xzz"),
        ] {
            assert_eq!(check(text), filled, "{text}");
        }
    }
}
