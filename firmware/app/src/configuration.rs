//! Which files are the configuration, and the checks that need addresses (RFC 7622).

use anyhow::{Context, Result, anyhow, bail};
use household::Config;
use std::{
    collections::BTreeMap,
    env,
    path::{Path, PathBuf},
};
use xmpp::Jid;

/// The files: those of the command line, else `$HEARTH_CONFIG`, else `./hearth.toml` if it exists.
pub(crate) fn files(given: &[PathBuf]) -> Vec<PathBuf> {
    if !given.is_empty() {
        return given.to_vec();
    }
    if let Some(file) = env::var_os("HEARTH_CONFIG").filter(|file| !file.is_empty()) {
        return vec![file.into()];
    }
    let local = Path::new("hearth.toml");
    // A link to a file that is gone was meant to be read.
    if local.symlink_metadata().is_ok() {
        vec![local.to_owned()]
    } else {
        Vec::new()
    }
}

/// Reads and checks the configuration. Addresses in it come out in their one normal form.
pub(crate) fn read(files: &[PathBuf]) -> Result<Config> {
    let mut config = Config::read(files)?;
    let names: Vec<_> = files
        .iter()
        .map(|file| file.display().to_string())
        .collect();
    normalise(&mut config).with_context(|| {
        if names.is_empty() {
            "the defaults".to_owned()
        } else {
            names.join(", ")
        }
    })?;
    Ok(config)
}

fn normalise(config: &mut Config) -> Result<()> {
    config.domain = domain("domain", &config.domain)?;
    for admin in &mut config.admins {
        *admin = account(admin, &config.domain)
            .with_context(|| format!("admins = [\"{admin}\"] is wrong"))?
            .to_string();
    }
    // XEP-0455 §2.1.
    let outage = &config.contact.outage;
    if !outage.is_empty() && !outage.starts_with("https://") && !outage.starts_with("http://") {
        bail!(
            "contact.outage = \"{outage}\" is wrong: write an address like \"https://a.example/status.json\""
        );
    }
    let s2s = &mut config.s2s;
    let lists = [
        ("s2s.insecure", &mut s2s.insecure),
        ("s2s.allow", &mut s2s.allow),
        ("s2s.deny", &mut s2s.deny),
    ];
    for (key, list) in lists {
        for name in list {
            *name = domain(key, name)?;
        }
    }
    components(config)
}

/// External components under the normal form of their names; none of them is one of ours.
fn components(config: &mut Config) -> Result<()> {
    let normal = |section: &str, name: &str| {
        domain(section, name).map_err(|_| {
            anyhow!(
                "{section}.\"{name}\" is wrong: its name must be a domain name, like \"irc.home.example\""
            )
        })
    };
    let mut secrets = BTreeMap::new();
    for (name, secret) in std::mem::take(&mut config.components) {
        let normal = normal("components", &name)?;
        if is_ours(config, &normal) {
            bail!(
                "components.\"{name}\" is wrong: this server is there itself; choose another name"
            );
        }
        if secrets.insert(normal, secret).is_some() {
            bail!("components.\"{name}\" is there twice: keep one of the two");
        }
    }
    config.components = secrets;
    let mut privileges = BTreeMap::new();
    for (name, words) in std::mem::take(&mut config.privileges) {
        privileges.insert(normal("privileges", &name)?, words);
    }
    config.privileges = privileges;
    Ok(())
}

/// Whether it is the domain, or what one of `[names]` stands for.
fn is_ours(config: &Config, name: &str) -> bool {
    let names = &config.names;
    let mut ours = [&names.rooms, &names.upload, &names.proxy, &names.pubsub].into_iter();
    name == config.domain
        || ours.any(|ours| {
            domain("names", &format!("{ours}.{}", config.domain)).is_ok_and(|ours| ours == name)
        })
}

/// A domain in its normal form.
fn domain(key: &str, text: &str) -> Result<String> {
    match Jid::parse(text) {
        Ok(jid) if jid.localpart().is_none() && jid.is_bare() => Ok(jid.as_str().to_owned()),
        _ => bail!("{key} = \"{text}\" is wrong: write a domain name, like \"home.example\""),
    }
}

/// An account of this domain, from what a person typed.
pub(crate) fn account(text: &str, domain: &str) -> Result<Jid> {
    if text.is_empty() {
        bail!("the address is empty: write one like alice@{domain}");
    }
    let Ok(jid) = Jid::parse(text) else {
        bail!("{text} is no address: write it like alice@{domain}");
    };
    if jid.localpart().is_none() {
        bail!("{text} is no account: write its whole address, like {text}@{domain}");
    }
    if !jid.is_bare() {
        bail!(
            "{text} is one device of an account: write {}",
            jid.bare_str()
        );
    }
    if jid.domainpart() != domain {
        bail!("{text} is not of this server: accounts here end in @{domain}");
    }
    Ok(jid)
}

/// A room of this service, from what a person typed: its whole address, or what stands before the `@`.
pub(crate) fn room(text: &str, service: &str) -> Result<Jid> {
    if text.is_empty() {
        bail!("the address is empty: write one like family@{service}");
    }
    let whole = if text.contains(['@', '/']) {
        text.to_owned()
    } else {
        format!("{text}@{service}")
    };
    let jid = Jid::parse(&whole);
    let Some(jid) = jid.ok().filter(|jid| jid.localpart().is_some()) else {
        bail!("{text} is no address: write it like family@{service}");
    };
    if !jid.is_bare() {
        bail!(
            "{text} is somebody in a room: write {} for the room",
            jid.bare_str()
        );
    }
    if jid.domainpart() != service {
        bail!("{text} is not of this server: rooms here end in @{service}");
    }
    Ok(jid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn check(text: &str, expected: Expect) {
        let answer = match account(text, "home.example") {
            Ok(jid) => jid.to_string(),
            Err(error) => error.to_string(),
        };
        expected.assert_eq(&answer);
    }

    #[test]
    fn accounts_are_bare_and_of_this_domain() {
        check("alice@home.example", expect!["alice@home.example"]);
        check("Alice@HOME.example", expect!["alice@home.example"]);
        check(
            "alice",
            expect!["alice is no account: write its whole address, like alice@home.example"],
        );
        check(
            "alice@elsewhere.example",
            expect![
                "alice@elsewhere.example is not of this server: accounts here end in @home.example"
            ],
        );
        check(
            "alice@home.example/phone",
            expect![
                "alice@home.example/phone is one device of an account: write alice@home.example"
            ],
        );
        check(
            "@home.example",
            expect!["@home.example is no address: write it like alice@home.example"],
        );
        check(
            "",
            expect!["the address is empty: write one like alice@home.example"],
        );
    }

    fn check_room(text: &str, expected: Expect) {
        let answer = match room(text, "groupchat.home.example") {
            Ok(jid) => jid.to_string(),
            Err(error) => error.to_string(),
        };
        expected.assert_eq(&answer);
    }

    #[test]
    fn rooms_have_short_names() {
        check_room("Family", expect!["family@groupchat.home.example"]);
        check_room(
            "family@GROUPCHAT.home.example",
            expect!["family@groupchat.home.example"],
        );
        check_room(
            "",
            expect!["the address is empty: write one like family@groupchat.home.example"],
        );
        check_room(
            "a b",
            expect!["a b is no address: write it like family@groupchat.home.example"],
        );
        check_room(
            "family@home.example",
            expect![
                "family@home.example is not of this server: rooms here end in @groupchat.home.example"
            ],
        );
        check_room(
            "a@groupchat.home.example/Bob",
            expect![
                "a@groupchat.home.example/Bob is somebody in a room: write a@groupchat.home.example \
                 for the room"
            ],
        );
    }

    fn check_config(change: impl FnOnce(&mut Config), expected: Expect) {
        let mut config = Config::default();
        change(&mut config);
        let answer = match normalise(&mut config) {
            Ok(()) => format!(
                "{} {:?} {:?}",
                config.domain, config.admins, config.s2s.deny
            ),
            Err(error) => format!("{error:#}"),
        };
        expected.assert_eq(&answer);
    }

    #[test]
    fn names_of_components() {
        let check = |name: &str, expected: Expect| {
            let text = format!("[components]\n'{name}' = 's'\n[privileges]\n'{name}' = ['roster']");
            let mut config = Config::from_texts([(Path::new("x.toml"), &*text)]).unwrap();
            let answer = match normalise(&mut config) {
                Ok(()) => format!("{:?} {:?}", config.components, config.privileges.keys()),
                Err(error) => format!("{error:#}").replace(" is wrong: ", " is wrong\n"),
            };
            expected.assert_eq(&answer);
        };
        check(
            "IRC.localhost",
            expect![[r#"{"irc.localhost": (secret)} ["irc.localhost"]"#]],
        );
        check(
            "irc.elsewhere.example",
            expect![[r#"{"irc.elsewhere.example": (secret)} ["irc.elsewhere.example"]"#]],
        );
        check(
            "a@irc.localhost",
            expect![[r#"
                components."a@irc.localhost" is wrong
                its name must be a domain name, like "irc.home.example""#]],
        );
        check(
            "Localhost",
            expect![[r#"
                components."Localhost" is wrong
                this server is there itself; choose another name"#]],
        );
        check(
            "GroupChat.localhost",
            expect![[r#"
                components."GroupChat.localhost" is wrong
                this server is there itself; choose another name"#]],
        );
    }

    #[test]
    fn addresses_in_the_configuration() {
        check_config(
            |config| config.domain = "Home.Example".into(),
            expect!["home.example [] []"],
        );
        check_config(
            |config| config.domain = "alice@home.example".into(),
            expect![[
                r#"domain = "alice@home.example" is wrong: write a domain name, like "home.example""#
            ]],
        );
        check_config(
            |config| config.domain = String::new(),
            expect![[r#"domain = "" is wrong: write a domain name, like "home.example""#]],
        );
        check_config(
            |config| config.admins = vec!["bo".into()],
            expect![[
                r#"admins = ["bo"] is wrong: bo is no account: write its whole address, like bo@localhost"#
            ]],
        );
        check_config(
            |config| config.contact.outage = "a".into(),
            expect![[
                r#"contact.outage = "a" is wrong: write an address like "https://a.example/status.json""#
            ]],
        );
        check_config(
            |config| config.admins = vec!["Alice@localhost".into()],
            expect![[r#"localhost ["alice@localhost"] []"#]],
        );
        check_config(
            |config| config.s2s.deny = vec!["a/b".into()],
            expect![[r#"s2s.deny = "a/b" is wrong: write a domain name, like "home.example""#]],
        );
        check_config(
            |config| config.s2s.deny = vec!["B.example".into()],
            expect![[r#"localhost [] ["b.example"]"#]],
        );
    }
}
