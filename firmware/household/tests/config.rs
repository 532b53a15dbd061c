//! The configuration as people write it: every key, and what is said about a wrong one.

use expect_test::{Expect, expect};
use household::Config;
use std::path::Path;

fn read(text: &str) -> Result<Config, household::ConfigError> {
    Config::from_texts([(Path::new("hearth.toml"), text)])
}

fn check(text: &str, expected: Expect) {
    let answer = match read(text) {
        Ok(_) => "fine".to_owned(),
        Err(error) => wrapped(&error.to_string()),
    };
    expected.assert_eq(&answer);
}

/// In lines that fit this file.
fn wrapped(sentence: &str) -> String {
    let mut lines = vec![String::new()];
    for word in sentence.split(' ') {
        let line = lines.last_mut().expect("begins with one");
        if line.len() + word.len() > 80 {
            lines.push(word.to_owned());
        } else {
            [line.as_str(), word]
                .join(" ")
                .trim_start()
                .clone_into(line);
        }
    }
    lines.join("\n")
}

#[test]
fn the_defaults() {
    let config = Config::default();
    assert_eq!(read("").expect("nothing is allowed"), config);
    assert_eq!(config.domain, "localhost");
    assert_eq!(config.data_dir, Path::new("./hearth-data"));
    assert_eq!(
        config.listen.c2s,
        ["[::]:5222".parse().expect("an address")]
    );
    assert_eq!(config.upload.user_quota, 2_000_000_000);
    assert_eq!(config.limits.c2s_rate, 100_000);
    assert_eq!(
        config.archive.keep.map(|keep| keep.as_secs()),
        Some(365 * 86_400)
    );
    assert_eq!(config.turn.relay_ports, 49_160..=49_259);
}

/// Every key with a value that is not its default, so that a key that is read into nothing shows.
#[test]
fn every_key_is_read() {
    let text = include_str!("every-key.toml");
    let table: toml::Table = text.parse().expect("TOML");
    let defaults: toml::Table = include_str!("../src/defaults.toml").parse().expect("TOML");
    let mut rows = 0;
    for (name, default) in &defaults {
        let keys = default.as_table().map_or(vec![name.clone()], |section| {
            section.keys().cloned().collect()
        });
        for key in keys {
            let (value, default, file) = if default.is_table() {
                let value = &table[name][&key];
                (value, &default[&key], format!("[{name}]\n{key} = {value}"))
            } else {
                (&table[&key], default, format!("{key} = {}", table[&key]))
            };
            assert_ne!(value, default, "{name} {key}");
            let alone = read(&file).unwrap_or_else(|error| panic!("{error}"));
            assert_ne!(alone, Config::default(), "{name} {key} changes nothing");
            rows += 1;
        }
    }
    assert_eq!(rows, 79);
    read(text).expect("all together are fine, too");
}

#[test]
fn unknown_keys_name_the_nearest() {
    check(
        "domian = 'a.example'",
        expect![[r#"hearth.toml: unknown key domian = "a.example": did you mean domain?"#]],
    );
    check(
        "Domain = 'a.example'",
        expect![[r#"hearth.toml: unknown key Domain = "a.example": did you mean domain?"#]],
    );
    check(
        "[tls]\nmodee = 'files'",
        expect![[r#"hearth.toml: unknown key tls.modee = "files": did you mean tls.mode?"#]],
    );
    check(
        "certificate = 'cert.pem'",
        expect![[
            r#"hearth.toml: unknown key certificate = "cert.pem": did you mean tls.certificate?"#
        ]],
    );
    check(
        "[dns]\nkey = 'cert.pem'",
        expect![[r#"hearth.toml: unknown key dns.key = "cert.pem": did you mean tls.key?"#]],
    );
    check(
        "[lisen]\nc2s = []",
        expect!["hearth.toml: unknown key lisen: did you mean [listen]?"],
    );
    check(
        "[limits]\nc2s-rate = '1kB/s'",
        expect![[
            r#"hearth.toml: unknown key limits.c2s-rate = "1kB/s": did you mean limits.c2s_rate?"#
        ]],
    );
    check(
        "[archive.keep]\ndays = 3",
        expect![[r#"
            hearth.toml: archive.keep is wrong: write a text in quotation marks (the default
            is "365d")"#]],
    );
    check(
        "tls.mode.x = 3",
        expect![[r#"
            hearth.toml: tls.mode is wrong: write a text in quotation marks (the default is
            "self-signed")"#]],
    );
}

#[test]
fn wrong_values_name_key_value_and_fix() {
    check(
        "domain = 3",
        expect![[r#"
            hearth.toml: domain = 3 is wrong: write a text in quotation marks (the default is
            "localhost")"#]],
    );
    check(
        "admins = 'a@localhost'",
        expect![[r#"
            hearth.toml: admins = "a@localhost" is wrong: write a list of texts in quotation
            marks, like ["one", "two"] (the default is [])"#]],
    );
    check(
        "language = 'de'",
        expect![[
            r#"hearth.toml: language = "de" is wrong: use one of: en hu (the default is "en")"#
        ]],
    );
    check(
        "tls = 'files'",
        expect!["hearth.toml: tls is a section, no key: write [tls] and its keys below"],
    );
    check(
        "listen = []",
        expect!["hearth.toml: listen is a section, no key: write [listen] and its keys below"],
    );
    check(
        "[listen]\nc2s = 5222",
        expect![[r#"
            hearth.toml: listen.c2s = 5222 is wrong: write a list of texts in quotation
            marks, like ["one", "two"] (the default is ["[::]:5222"])"#]],
    );
    check(
        "[listen]\nc2s = ['5222']",
        expect![[r#"
        hearth.toml: listen.c2s = ["5222"] is wrong: write addresses with ports, like
        ["[::]:5222"] or ["192.0.2.1:5222"] (the default is ["[::]:5222"])"#]],
    );
    check(
        "[listen]\nc2s = ['localhost:5222']",
        expect![[r#"
        hearth.toml: listen.c2s = ["localhost:5222"] is wrong: write addresses with
        ports, like ["[::]:5222"] or ["192.0.2.1:5222"] (the default is ["[::]:5222"])"#]],
    );
    check(
        "[listen]\nc2s = ['127.0.0.1:70000']",
        expect![[r#"
        hearth.toml: listen.c2s = ["127.0.0.1:70000"] is wrong: write addresses with
        ports, like ["[::]:5222"] or ["192.0.2.1:5222"] (the default is ["[::]:5222"])"#]],
    );
    check(
        "[listen]\nc2s = '127.0.0.1:5222'",
        expect![[r#"
            hearth.toml: listen.c2s = "127.0.0.1:5222" is wrong: write a list of texts in
            quotation marks, like ["one", "two"] (the default is ["[::]:5222"])"#]],
    );
    check(
        "[public]\nhttps_port = 65536",
        expect![[r"
        hearth.toml: public.https_port = 65536 is wrong: write a port from 0 to 65535
        (the default is 0)"]],
    );
    check(
        "[public]\nhttps_port = -1",
        expect![[r"
        hearth.toml: public.https_port = -1 is wrong: write a port from 0 to 65535 (the
        default is 0)"]],
    );
    check(
        "[public]\nipv4 = '::1'",
        expect![[r#"
        hearth.toml: public.ipv4 = "::1" is wrong: write an IPv4 address, like
        "192.0.2.1", or "" to have it found (the default is "")"#]],
    );
    check(
        "[router]\nenabled = 'yes'",
        expect![[r#"
            hearth.toml: router.enabled = "yes" is wrong: write true or false, without
            quotation marks (the default is false)"#]],
    );
    check(
        "[address]\nsources = ['dyndns']",
        expect![[r#"
        hearth.toml: address.sources = ["dyndns"] is wrong: use one of: interface router
        stun echo (the default is [])"#]],
    );
    check(
        "[tls]\nmode = 'file'",
        expect![[r#"
        hearth.toml: tls.mode = "file" is wrong: use one of: self-signed files acme (the
        default is "self-signed")"#]],
    );
    check(
        "[tls]\nmode = 'files'",
        expect![[r#"
        hearth.toml: tls.mode = "files" needs tls.certificate: write the path of a PEM
        file"#]],
    );
    check(
        "[tls]\nmode = 'files'\ncertificate = 'c.pem'",
        expect![[r#"hearth.toml: tls.mode = "files" needs tls.key: write the path of a PEM file"#]],
    );
    check(
        "[dns]\nserver = 'ns.example'",
        expect![[r#"
        hearth.toml: dns.server = "ns.example" is wrong: write an address and a port,
        like "192.0.2.1:53", or "" for none (the default is "")"#]],
    );
    check(
        "[names]\nrooms = 'a.b'",
        expect![[r#"
        hearth.toml: names.rooms = "a.b" is wrong: write one name without dots: letters
        a-z, digits and hyphens, like "upload" (the default is "groupchat")"#]],
    );
    check(
        "[lan]\nname = ''",
        expect![[r#"
        hearth.toml: lan.name = "" is wrong: write one name without dots: letters a-z,
        digits and hyphens, like "upload" (the default is "hearth")"#]],
    );
    check(
        "[upload]\nmax_file_size = '100 MiB'",
        expect![[r#"
        hearth.toml: upload.max_file_size = "100 MiB" is wrong: write a whole number and
        B, kB, MB or GB, like "100MB" (the default is "100MB")"#]],
    );
    check(
        "[upload]\nmax_file_size = 100",
        expect![[r#"
        hearth.toml: upload.max_file_size = 100 is wrong: write a whole number and B, kB,
        MB or GB, like "100MB" (the default is "100MB")"#]],
    );
    check(
        "[upload]\nmax_file_size = '99999999999999999999GB'",
        expect![[r#"
            hearth.toml: upload.max_file_size = "99999999999999999999GB" is wrong: write a
            whole number and B, kB, MB or GB, like "100MB" (the default is "100MB")"#]],
    );
    check(
        "[upload]\nexpire_after = '2w'",
        expect![[r#"
        hearth.toml: upload.expire_after = "2w" is wrong: write a whole number and s, m,
        h or d, like "30d" (the default is "30d")"#]],
    );
    check(
        "[archive]\nkeep = 'always'",
        expect![[r#"
        hearth.toml: archive.keep = "always" is wrong: write "forever", or a whole number
        and s, m, h or d, like "365d" (the default is "365d")"#]],
    );
    check(
        "[turn]\nrelay_ports = '49259-49160'",
        expect![[r#"
        hearth.toml: turn.relay_ports = "49259-49160" is wrong: write the first and the
        last port, like "49160-49259" (the default is "49160-49259")"#]],
    );
    check(
        "[turn]\nallow_peers = ['10.0.0.0/33']",
        expect![[r#"
        hearth.toml: turn.allow_peers = ["10.0.0.0/33"] is wrong: write networks, like
        ["192.0.2.0/24", "2001:db8::/32"] (the default is [])"#]],
    );
    check(
        "[limits]\nc2s_rate = '100kB'",
        expect![[r#"
        hearth.toml: limits.c2s_rate = "100kB" is wrong: write a whole number and B/s,
        kB/s or MB/s, like "100kB/s" (the default is "100kB/s")"#]],
    );
    check(
        "[limits]\nlogin_failures_per_minute = 1.5",
        expect![[r"
            hearth.toml: limits.login_failures_per_minute = 1.5 is wrong: write a whole
            number, without quotation marks (the default is 10)"]],
    );
    check(
        "[components]\n'irc.localhost' = 3",
        expect!["hearth.toml: components.irc.localhost is wrong: write a text in quotation marks"],
    );
    check(
        "[names]\nrooms = 'proxy'",
        expect![[
            r#"hearth.toml: two keys of [names] are "proxy": give each component its own name"#
        ]],
    );
    check(
        "[listen]\nhttp = ['[::]:5222']",
        expect![[r"
        hearth.toml: [listen] has [::]:5222 twice: give each listener its own port, or
        switch one off with []"]],
    );
    check(
        "data_dir = ''",
        expect![[r#"
        hearth.toml: data_dir = "" is wrong: write a path (the default is
        "./hearth-data")"#]],
    );
}

#[test]
fn no_toml_names_the_line() {
    check(
        "domain = 'a'\n\n[tls\n",
        expect!["hearth.toml: line 3 is no TOML: unclosed table, expected `]`"],
    );
    check(
        "domain = 'a'\ndomain = 'b'",
        expect!["hearth.toml: line 2 (domain) is there twice: keep one of the two"],
    );
    check(
        "[tls]\n[lan]\n[tls]",
        expect!["hearth.toml: line 3 ([tls]) is there twice: keep one of the two"],
    );
    check(
        "[components]\n'a.example' = 'secret",
        expect![[r"
            hearth.toml: line 2 ('a.example') is no TOML: invalid literal string, expected
            `'`"]],
    );
    check(
        "domain = a.example",
        expect![[r"
        hearth.toml: line 1 (domain) is no TOML: string values must be quoted, expected
        literal string"]],
    );
}

#[test]
fn a_date_is_no_text() {
    check(
        "[update]\nchannel = 2026-01-01",
        expect![[r"
        hearth.toml: update.channel = 2026-01-01 is wrong: write a text in quotation
        marks"]],
    );
}

#[test]
fn zero_needs_no_unit() {
    for zero in ["0", "'0'", "'0kB/s'"] {
        let config = read(&format!("[limits]\nc2s_rate = {zero}")).expect("zero is off");
        assert_eq!(config.limits.c2s_rate, 0);
    }
}

#[test]
fn later_files_win_key_by_key_and_paths_are_relative_to_their_file() {
    let first = "domain = 'first.example'\ndata_dir = 'data'\n[tls]\nkey = '../k.pem'\n\
        [components]\n'a' = 'x'\n'b' = 'y'";
    let second = "domain = 'second.example'\n[tls]\ncertificate = 'c.pem'\n[components]\n'b' = 'z'";
    let files = [
        (Path::new("/etc/hearth/a.toml"), first),
        (Path::new("conf/b.toml"), second),
    ];
    let config = Config::from_texts(files).expect("both are fine");
    assert_eq!(config.domain, "second.example");
    assert_eq!(config.data_dir, Path::new("/etc/hearth/data"));
    assert_eq!(config.tls.key, Path::new("/etc/hearth/../k.pem"));
    assert_eq!(config.tls.certificate, Path::new("conf/c.pem"));
    let secrets: Vec<_> = config
        .components
        .iter()
        .map(|(name, secret)| (name.as_str(), secret.expose()))
        .collect();
    assert_eq!(secrets, [("a", "x"), ("b", "z")]);
    let shown = format!("{:?}", config.components);
    assert_eq!(shown, r#"{"a": (secret), "b": (secret)}"#);
}

#[test]
fn an_error_names_the_file_it_is_in() {
    let files = [
        (Path::new("one.toml"), "domain = 'x'"),
        (Path::new("two.toml"), "domain = 1"),
    ];
    let error = Config::from_texts(files)
        .expect_err("the second is wrong")
        .to_string();
    assert!(error.starts_with("two.toml: domain = 1 "), "{error}");
}

#[test]
fn a_missing_file_is_an_error() {
    let error = Config::read(&["/nonexistent/hearth.toml".into()])
        .expect_err("there is none")
        .to_string();
    assert!(error.contains("/nonexistent/hearth.toml"), "{error}");
}
