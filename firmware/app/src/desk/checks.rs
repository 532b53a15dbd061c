//! What `hearth check tls` and `hearth check clock` find: of a running server what it uses, otherwise what is
//! kept.

use super::Desk;
use crate::{
    control::protocol::Answer,
    machine::{self, MachineTime},
};
use anyhow::Result;
use household::{Config, Finding, Level, config::TlsMode};
use server::{
    tls::{self, Certificate},
    world::Timestamp,
};
use services::{
    acme,
    clock::{self, System, View},
};
use std::fs;

const DAY_MS: u64 = 86_400_000;
/// Less than that is left of none that is renewed in time: of those of six days, two.
const SOON_DAYS: u64 = 2;

impl Desk {
    pub(super) fn check_clock(&self) -> Result<Answer> {
        let view = View {
            now: machine::now_ms(),
            network: MachineTime.network(),
            built: machine::built_ms(),
            saved: clock::saved(&self.store)?,
            waited: 0,
        };
        Ok(Answer::Findings(vec![view.finding()]))
    }

    pub(super) fn check_tls(&self) -> Result<Answer> {
        let config = self.host.config();
        let certificate = match self.host.certificate() {
            Some(certificate) => Some(certificate),
            None => self.kept(&config)?,
        };
        let mut findings = findings(&config, certificate.as_ref(), machine::now_ms());
        let health = self.host.status(0, 0).health;
        let said = health.into_iter().filter(|it| it.part == "certificate");
        findings.extend(said.filter(|it| it.level != Level::Ok).map(|it| Finding {
            part: "tls".to_owned(),
            level: it.level,
            text: it.text,
            next: String::new(),
        }));
        Ok(Answer::Findings(findings))
    }

    /// The one that a server would use.
    fn kept(&self, config: &Config) -> Result<Option<Certificate>> {
        let file = match config.tls.mode {
            TlsMode::Files => config.tls.certificate.clone(),
            TlsMode::Acme | TlsMode::SelfSigned => config.data_dir.join("tls/self-signed.pem"),
        };
        let given = match config.tls.mode {
            TlsMode::Acme => acme::kept(&self.store)?.map(String::into_bytes),
            TlsMode::Files | TlsMode::SelfSigned => None,
        };
        let pem = given.or_else(|| fs::read(file).ok());
        Ok(pem.and_then(|pem| Certificate::of_pem(&pem)))
    }
}

fn findings(config: &Config, certificate: Option<&Certificate>, now: Timestamp) -> Vec<Finding> {
    let Some(certificate) = certificate else {
        return vec![missing(config.tls.mode)];
    };
    let mut found = vec![life(config.tls.mode, certificate, now)];
    let wanted = tls::names(config);
    let lacking = certificate.lacks(&wanted);
    if !lacking.is_empty() {
        let text = format!("the certificate is not for {}", lacking.join(", "));
        let next = "apps and other servers may refuse these names: get one that has them all";
        found.push(finding(Level::Warn, text, next));
    }
    found
}

fn finding(level: Level, text: String, next: &str) -> Finding {
    Finding {
        part: "tls".to_owned(),
        level,
        text,
        next: next.to_owned(),
    }
}

fn missing(mode: TlsMode) -> Finding {
    match mode {
        TlsMode::Files => finding(
            Level::Fail,
            "there is no certificate in the file that tls.certificate names".to_owned(),
            "correct the path, or let the server's user read it",
        ),
        TlsMode::Acme | TlsMode::SelfSigned => finding(
            Level::Ok,
            "a certificate will be made at the first start".to_owned(),
            "",
        ),
    }
}

/// From when until when it is good.
fn life(mode: TlsMode, certificate: &Certificate, now: Timestamp) -> Finding {
    let next = match mode {
        TlsMode::Files => "put a new one in the file that tls.certificate names",
        TlsMode::Acme => "see what is said of it below, or start the server",
        TlsMode::SelfSigned => "restart the server, which makes a new one",
    };
    let names: Vec<_> = certificate.names.iter().map(String::as_str).collect();
    let what = format!("the certificate for {}", names.join(", "));
    let days = certificate.expires.saturating_sub(now) / DAY_MS;
    if certificate.expires <= now {
        let end = xmpp::datetime::format(certificate.expires);
        return finding(Level::Fail, format!("{what} ended {end}"), next);
    }
    if certificate.begins > now {
        let next = "see `hearth check clock`, or use another";
        return finding(Level::Fail, format!("{what} is not good yet"), next);
    }
    if days < SOON_DAYS {
        let text = format!("{what} ends within {SOON_DAYS} days");
        return finding(Level::Warn, text, next);
    }
    let by = if certificate.is_self_issued {
        "made here, which browsers and apps do not believe by themselves".to_owned()
    } else {
        format!("given by {}", certificate.issuer)
    };
    let text = format!("{what} is good for {days} more days; it was {by}");
    finding(Level::Ok, text, "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    const NOW: Timestamp = 20_000 * DAY_MS;

    fn check(mode: TlsMode, change: impl FnOnce(&mut Certificate), expected: Expect) {
        let mut config = Config::default();
        "home.example".clone_into(&mut config.domain);
        config.tls.mode = mode;
        let mut certificate = Certificate {
            names: tls::names(&config).into_iter().collect(),
            issuer: "An authority".to_owned(),
            is_self_issued: false,
            begins: NOW - DAY_MS,
            expires: NOW + 44 * DAY_MS,
            authority_key: None,
            serial: vec![1],
        };
        change(&mut certificate);
        expected.assert_eq(&lines(findings(&config, Some(&certificate), NOW)));
    }

    fn lines(findings: Vec<Finding>) -> String {
        let lines = findings.into_iter().map(|it| {
            let (level, text, next) = (
                it.level.word(),
                it.text.replace("home.example", "~"),
                it.next,
            );
            let text = text.replace("; ", ";\n");
            format!("{level}: {text}\n{next}\n")
        });
        lines.collect()
    }

    #[test]
    fn how_long_it_is_good() {
        check(
            TlsMode::Acme,
            |_| {},
            expect![[r"
            ok: the certificate for groupchat.~, ~, proxy.~, pubsub.~, upload.~ is good for 44 more days;
            it was given by An authority

        "]],
        );
        check(
            TlsMode::Acme,
            |it| it.expires = NOW - DAY_MS,
            expect![[r"
            fail: the certificate for groupchat.~, ~, proxy.~, pubsub.~, upload.~ ended 2024-10-03T00:00:00Z
            see what is said of it below, or start the server
        "]],
        );
        check(
            TlsMode::Files,
            |it| it.expires = NOW + DAY_MS,
            expect![[r"
                warn: the certificate for groupchat.~, ~, proxy.~, pubsub.~, upload.~ ends within 2 days
                put a new one in the file that tls.certificate names
            "]],
        );
        check(
            TlsMode::Files,
            |it| it.begins = NOW + DAY_MS,
            expect![[r"
            fail: the certificate for groupchat.~, ~, proxy.~, pubsub.~, upload.~ is not good yet
            see `hearth check clock`, or use another
        "]],
        );
        check(
            TlsMode::SelfSigned,
            |it| {
                it.is_self_issued = true;
                it.names = ["home.example".to_owned()].into();
            },
            expect![[r"
                ok: the certificate for ~ is good for 44 more days;
                it was made here, which browsers and apps do not believe by themselves

                warn: the certificate is not for groupchat.~, upload.~, proxy.~, pubsub.~
                apps and other servers may refuse these names: get one that has them all
            "]],
        );
    }

    #[test]
    fn where_there_is_none() {
        let none = |mode| {
            let mut config = Config::default();
            config.tls.mode = mode;
            lines(findings(&config, None, NOW))
        };
        expect![[r"
            fail: there is no certificate in the file that tls.certificate names
            correct the path, or let the server's user read it
        "]]
        .assert_eq(&none(TlsMode::Files));
        expect![[r"
            ok: a certificate will be made at the first start

        "]]
        .assert_eq(&none(TlsMode::Acme));
    }
}
