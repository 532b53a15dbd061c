//! What a script leaves to be filled in: `{m}` and its kin.
//!
//! In what is sent, braces may also hold `{70 times TEXT}` and `{base64 TEXT}`, and `\x00` stands
//! for any byte: enough to write down what no XML library would send. `{scram SHA-1 pencil
//! challenge}` answers the SCRAM challenge bound to that name with that password, after a first
//! message sent as `{base64 n,,…}`, and binds `{signature}` to what the server must say then. `{token juliet
//! mine}` proves the token bound to `mine` as that account (XEP-0484), and binds `{proof}` to the answer.
//! `{handshake id secret}` is what a component with that secret shows on the stream of the id bound to `id`
//! (XEP-0114).
//!
//! Scripts may hold ids and times as the simulation makes them, the same at every run. In a world that
//! does not repeat itself such an id is a name as well, bound where it first comes, and such a time is
//! any time.

use crate::{addresses::Addresses, component, scram, token};
use base64::{Engine, prelude::BASE64_STANDARD};
use std::{collections::BTreeMap, fmt};

/// Values bound to the names in braces, for one script.
#[derive(Clone, Debug, Default)]
pub struct Bindings {
    values: BTreeMap<String, String>,
    /// The client's first message of SCRAM, behind its GS2 header.
    first: String,
    /// The simulation's ids, and what they are in a world that does not repeat itself; nothing in one
    /// that does.
    ids: Option<BTreeMap<String, String>>,
}

/// The day on which the simulation plays; scripts put dates of their own elsewhere.
const SIMULATED_DAY: &str = "2026-09-21T";
/// Characters of an id that the server makes: sixteen random bytes, or eighteen of a hash, in base 64.
const ID_LENGTHS: [usize; 2] = [22, 24];

impl Bindings {
    /// Nothing bound yet; `repeats` says whether the world gives the same ids and times at every run.
    pub fn new(repeats: bool) -> Bindings {
        Bindings {
            ids: (!repeats).then(BTreeMap::new),
            ..Bindings::default()
        }
    }

    /// Whether what comes was made as the simulation makes it.
    pub fn repeats(&self) -> bool {
        self.ids.is_none()
    }

    /// Compares a value with what a script says about it; a name not bound yet is bound. The error
    /// is what was wanted.
    pub fn unify(&mut self, said: &str, found: &str) -> Result<(), String> {
        if said == "*" || said == found {
            return Ok(());
        }
        if let Some(ids) = &mut self.ids {
            if is_made_id(said) && is_id(found) {
                return unify_id(ids, said, found);
            }
            if said.starts_with(SIMULATED_DAY) && is_time(found) {
                return Ok(());
            }
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
        for (made, value) in self.ids.iter().flatten() {
            out = out.replace(made, value);
        }
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
        if let Some(rest) = inside.strip_prefix("handshake ") {
            let (id, secret) = rest.split_once(' ').ok_or("which id and secret?")?;
            let id = self.values.get(id).ok_or("no such id")?;
            return Ok(component::handshake(id, secret));
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

/// The same id everywhere, and never that of another.
fn unify_id(ids: &mut BTreeMap<String, String>, said: &str, found: &str) -> Result<(), String> {
    if let Some(value) = ids.get(said) {
        return if value == found {
            Ok(())
        } else {
            Err(value.clone())
        };
    }
    match ids.iter().find(|(_, value)| *value == found) {
        Some((other, _)) => Err(format!("another one than for {other}")),
        None => {
            ids.insert(said.into(), found.into());
            Ok(())
        }
    }
}

/// Whether it looks like an id that the simulation made: no word of a script has letters of both cases
/// and is as long.
fn is_made_id(value: &str) -> bool {
    let has = |kind: fn(&char) -> bool| value.chars().any(|c| kind(&c));
    ID_LENGTHS.contains(&value.len())
        && value
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
        && has(char::is_ascii_uppercase)
        && has(char::is_ascii_lowercase)
}

/// Whether it may be the id of another server: what that looks like is its own to say.
fn is_id(value: &str) -> bool {
    !value.is_empty() && !value.contains(char::is_whitespace)
}

/// Whether it is a time of XEP-0082 §3.2, by its shape alone.
fn is_time(value: &str) -> bool {
    let digits = |text: &str| {
        text.chars()
            .all(|c| c.is_ascii_digit() || "-:.".contains(c))
    };
    value
        .strip_suffix('Z')
        .and_then(|value| value.split_once('T'))
        .is_some_and(|(day, time)| {
            day.len() == 10 && time.len() >= 8 && digits(day) && digits(time)
        })
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
    fn ids_of_the_simulation_stand_for_those_of_the_world() {
        const ONE: &str = "IQAFVBO1AzcGqoJLpBhaPYoO";
        const OTHER: &str = "OHCwQJIAAPMOMgReGYz07w";
        let at = |repeats, found: [(&str, &str); 2]| {
            let mut bindings = Bindings::new(repeats);
            let mut unify = |(said, found)| bindings.unify(said, found).is_ok();
            (unify(found[0]), unify(found[1]))
        };
        let (noon, now) = ("2026-09-21T14:13:20Z", "2027-01-02T03:04:05.678Z");
        for (repeats, found, fit) in [
            (false, [(ONE, "x1"), (ONE, "x1")], (true, true)),
            (false, [(ONE, "x1"), (ONE, "x2")], (true, false)),
            (false, [(ONE, "x1"), (OTHER, "x1")], (true, false)),
            (false, [(ONE, ""), ("juliet", "romeo")], (false, false)),
            (false, [(noon, now), (noon, "soon")], (true, false)),
            (true, [(ONE, "x1"), (noon, now)], (false, false)),
            (true, [(ONE, ONE), (noon, noon)], (true, true)),
        ] {
            assert_eq!(at(repeats, found), fit, "{found:?}");
        }
        let mut bindings = Bindings::new(false);
        bindings.unify(ONE, "x1").unwrap();
        let addresses = Addresses::new("there.example", "-7");
        let sent = bindings.fill(&format!("<a id='{ONE}'/>"), &addresses);
        assert_eq!(sent.unwrap(), b"<a id='x1'/>");
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
