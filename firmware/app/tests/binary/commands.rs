//! The commands as people and scripts use them, with the real binary and no server.

use crate::common::{Home, Said};
use expect_test::{Expect, expect};
use std::os::unix::fs::PermissionsExt;

/// Runs a script of commands in one home; `$` lines are commands, the rest is what they say and their exit
/// status. `<` gives a command its standard input.
fn check(script: &str, expected: Expect) {
    let home = Home::new();
    let mut transcript = String::new();
    for line in script
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
    {
        let (command, input) = line.split_once(" < ").unwrap_or((line, ""));
        let arguments: Vec<_> = command.split_whitespace().collect();
        let said = home.run(&arguments, &input.replace("\\n", "\n"));
        let out = said.out.replace("},{", "},\n{");
        let exit = if said.status == 0 {
            String::new()
        } else {
            format!("exit {}\n", said.status)
        };
        transcript = [transcript, format!("$ {line}\n"), out, said.err, exit].concat();
    }
    expected.assert_eq(&transcript);
}

#[test]
fn accounts_come_and_go() {
    check(
        "
        user list
        user add bob@localhost --password-stdin < secret\\n
        user add Amy@localhost --admin --password-stdin < secret\\n
        user list
        user list --json
        user show amy@localhost
        user disable bob@localhost
        user show bob@localhost --json
        user enable bob@localhost --json
        user passwd bob@localhost --password-stdin < other\\n
        user remove bob@localhost --yes
        user list
        user add bob@localhost --password-stdin --json < secret\\n
        user list
        ",
        expect![[r#"
            $ user list
            $ user add bob@localhost --password-stdin < secret\n
            $ user add Amy@localhost --admin --password-stdin < secret\n
            $ user list
            amy@localhost
            bob@localhost
            $ user list --json
            [{"jid":"amy@localhost","admin":true,"enabled":true,"display_name":"","last_seen":null,"bytes":0},
            {"jid":"bob@localhost","admin":false,"enabled":true,"display_name":"","last_seen":null,"bytes":0}]
            $ user show amy@localhost
            address        amy@localhost
            administrator  yes
            enabled        yes
            last seen      never
            kept           0 bytes
            $ user disable bob@localhost
            $ user show bob@localhost --json
            {"jid":"bob@localhost","admin":false,"enabled":false,"display_name":"","last_seen":null,"bytes":0}
            $ user enable bob@localhost --json
            {"done":true,"jid":"bob@localhost"}
            $ user passwd bob@localhost --password-stdin < other\n
            $ user remove bob@localhost --yes
            $ user list
            amy@localhost
            $ user add bob@localhost --password-stdin --json < secret\n
            {"done":true,"jid":"bob@localhost"}
            $ user list
            amy@localhost
            bob@localhost
        "#]],
    );
}

#[test]
fn how_long_messages_are_kept_is_said_for_one_account() {
    check(
        "
        user add x@localhost --password-stdin < secret\\n
        user keep x@localhost 7d
        user show x@localhost
        user keep x@localhost 90m --json
        user keep x@localhost 5000d
        user keep x@localhost default --json
        user keep x@localhost forever
        user keep eve@localhost 7d
        ",
        expect![[r#"
            $ user add x@localhost --password-stdin < secret\n
            $ user keep x@localhost 7d
            $ user show x@localhost
            address        x@localhost
            administrator  no
            enabled        yes
            last seen      never
            kept           7 bytes
            messages for   7d
            $ user keep x@localhost 90m --json
            {"done":true,"jid":"x@localhost","keep":"90m"}
            $ user keep x@localhost 5000d
            archive.keep is shorter: what is older than 365d goes all the same
            $ user keep x@localhost default --json
            {"done":true,"jid":"x@localhost","keep":null}
            $ user keep x@localhost forever
            hearth: write a whole number and s, m, h or d, like 30d, or default
            exit 2
            $ user keep eve@localhost 7d
            hearth: eve@localhost: there is no such account
            exit 1
        "#]],
    );
    let home = Home::new();
    let add = ["user", "add", "x@localhost", "--password-stdin"];
    home.run(&add, "secret\n");
    for (time, listed) in [("48h", r#","keep":"2d"}]"#), ("default", r#""bytes":0}]"#)] {
        home.run(&["user", "keep", "x@localhost", time], "");
        let said = home.run(&["user", "list", "--json"], "").out;
        assert!(said.contains(listed), "{said}");
    }
}

#[test]
fn devices_and_reports_of_a_new_account() {
    check(
        "
        user add bob@localhost --password-stdin < secret\\n
        user reports
        user reports --json
        user devices bob@localhost
        user devices bob@localhost --json
        user devices eve@localhost
        user sign-out bob@localhost abcdefghabcdefgh
        user sign-out bob@localhost phone
        ",
        expect![[r"
            $ user add bob@localhost --password-stdin < secret\n
            $ user reports
            nobody has reported anything
            $ user reports --json
            []
            $ user devices bob@localhost
            bob@localhost: no app told its device (older ones never do); a new password signs out all
            $ user devices bob@localhost --json
            []
            $ user devices eve@localhost
            hearth: eve@localhost: there is no such account
            exit 1
            $ user sign-out bob@localhost abcdefghabcdefgh
            hearth: bob@localhost: it has no such device: see `user devices`
            exit 1
            $ user sign-out bob@localhost phone
            hearth: bob@localhost: it has no such device: see `user devices`
            exit 1
        "]],
    );
}

#[test]
fn what_is_refused_says_what_to_do() {
    check(
        "
        user add alice@localhost --password-stdin < secret\\n
        user add alice@localhost --password-stdin < secret\\n
        user add bob --password-stdin < secret\\n
        user add bob@elsewhere.example --password-stdin < secret\\n
        user add bob@localhost/phone --password-stdin < secret\\n
        user add bob@localhost --password-stdin < \\n
        user passwd bob@localhost --password-stdin < secret\\n
        user remove bob@localhost --yes
        user disable bob@localhost
        user enable bob@localhost
        user show bob@localhost
        user import nothing.csv
        status
        ",
        expect![[r"
            $ user add alice@localhost --password-stdin < secret\n
            $ user add alice@localhost --password-stdin < secret\n
            hearth: alice@localhost: there is such an account already
            exit 1
            $ user add bob --password-stdin < secret\n
            hearth: bob is no account: write its whole address, like bob@localhost
            exit 1
            $ user add bob@elsewhere.example --password-stdin < secret\n
            hearth: bob@elsewhere.example is not of this server: accounts here end in @localhost
            exit 1
            $ user add bob@localhost/phone --password-stdin < secret\n
            hearth: bob@localhost/phone is one device of an account: write bob@localhost
            exit 1
            $ user add bob@localhost --password-stdin < \n
            hearth: the password is empty: give one, or let --generate make one
            exit 1
            $ user passwd bob@localhost --password-stdin < secret\n
            hearth: bob@localhost: there is no such account
            exit 1
            $ user remove bob@localhost --yes
            hearth: bob@localhost: there is no such account
            exit 1
            $ user disable bob@localhost
            hearth: bob@localhost: there is no such account
            exit 1
            $ user enable bob@localhost
            hearth: bob@localhost: there is no such account
            exit 1
            $ user show bob@localhost
            hearth: bob@localhost: there is no such account
            exit 1
            $ user import nothing.csv
            hearth: cannot read nothing.csv: No such file or directory (os error 2)
            exit 1
            $ status
            fail  server: the server is not running: start it with `hearth serve`
            accounts: 1, sessions: 0, rooms: 0
            hearth: the server is not running: start it with `hearth serve`
            exit 1
        "]],
    );
}

#[test]
fn wrong_usage_is_exit_status_2() {
    let home = Home::new();
    let rows: [&[&str]; 9] = [
        &["frobnicate"],
        &["user"],
        &["user", "add"],
        &["user", "add", "alice@localhost"],
        &["user", "passwd", "alice@localhost"],
        &[
            "user",
            "add",
            "alice@localhost",
            "--password-stdin",
            "--generate",
        ],
        &["user", "remove", "alice@localhost"],
        &["check", "everything"],
        &["--colour", "version"],
    ];
    for row in rows {
        let Said { out, err, status } = home.run(row, "");
        assert_eq!(status, 2, "{row:?}: {err}");
        assert!(out.is_empty() && !err.is_empty(), "{row:?}: {out}");
    }
    assert_eq!(home.run(&["--help"], "").status, 0);
}

#[test]
fn a_generated_password_is_printed_once() {
    let home = Home::new();
    let said = home.run(&["user", "add", "alice@localhost", "--generate"], "");
    assert_eq!(said.status, 0, "{}", said.err);
    assert_eq!(said.out.trim().len(), 23, "{}", said.out);
    let said = home.run(
        &["user", "passwd", "alice@localhost", "--generate", "--json"],
        "",
    );
    let value: serde_json::Value = serde_json::from_str(&said.out).expect("JSON");
    assert_eq!(value["done"], true);
    assert_eq!(value["jid"], "alice@localhost");
    assert_eq!(value["password"].as_str().map(str::len), Some(23));
}

#[test]
fn an_import_is_all_or_nothing() {
    let home = Home::new();
    home.write(
        "good.csv",
        "alice@localhost,secret,\"Aunt Alice, of Ely\"\n\nbob@localhost,secret\n",
    );
    home.write(
        "exists.csv",
        "carol@localhost,secret\nbob@localhost,secret\n",
    );
    home.write(
        "twice.csv",
        "carol@localhost,secret\nCarol@localhost,secret\n",
    );
    home.write(
        "foreign.csv",
        "carol@localhost,secret\n\ndave@elsewhere.example,secret\n",
    );
    home.write("empty.csv", "\n");
    home.write("odd.csv", "carol@localhost,\u{7}\n");
    let rows = [
        ("good.csv", "accounts made: 2\n", 0),
        (
            "exists.csv",
            "line 2: bob@localhost: there is such an account already",
            1,
        ),
        (
            "twice.csv",
            "line 2: carol@localhost: the same account is in the file twice",
            1,
        ),
        (
            "foreign.csv",
            "line 3: dave@elsewhere.example is not of this server",
            1,
        ),
        ("empty.csv", "has no accounts", 1),
        (
            "odd.csv",
            "line 1: carol@localhost: this cannot be a password",
            1,
        ),
    ];
    for (file, expected, status) in rows {
        let said = home.run(&["user", "import", file], "");
        assert_eq!(said.status, status, "{file}: {}", said.err);
        assert!([said.out, said.err].concat().contains(expected), "{file}");
    }
    assert_eq!(
        home.run(&["user", "list"], "").out,
        "alice@localhost\nbob@localhost\n"
    );
    let shown = home
        .run(&["user", "show", "alice@localhost", "--json"], "")
        .out;
    assert!(
        shown.contains(r#""display_name":"Aunt Alice, of Ely""#),
        "{shown}"
    );
}

#[test]
fn a_check_names_what_this_version_does_not_act_upon() {
    let home = Home::new();
    home.write(
        "hearth.toml",
        "language = 'hu'\n[listen]\ns2s = []\nstun = ['127.0.0.1:0']\n[lan]\nmdns = true\n\
         [registration]\nopen = true\nmotd = 'Tea at five'\n[archive]\nkeep = '30d'\n\
         [names]\npubsub = 'news'\nrooms = 'rooms'\n[upload]\nkeep_free = '1GB'\nuser_quota = '1GB'\n",
    );
    let said = home.run(&["check", "config"], "");
    let named = said.out.lines().filter_map(|line| {
        let (_, behind) = line.split_once("warn  config: ")?;
        Some(behind.split_once(" has no effect")?.0)
    });
    assert_eq!(
        named.collect::<Vec<_>>(),
        [
            "[lan]",
            "language",
            "registration.motd",
            "upload.user_quota"
        ],
        "{}",
        said.out
    );
    assert_eq!(said.status, 0);
}

#[test]
fn configuration_files_in_order() {
    let home = Home::new();
    home.write(
        "hearth.toml",
        "domain = 'home.example'\n[limits]\nc2s_rat = 3",
    );
    home.write("conf/a.toml", "domain = 'a.example'\ndata_dir = 'data'");
    home.write("conf/b.toml", "domain = 'b.example'");
    let said = home.run(&["check", "config"], "");
    assert_eq!(said.status, 1, "./hearth.toml is read, and wrong");
    assert!(
        said.out.contains("did you mean limits.c2s_rate?"),
        "{}",
        said.out
    );
    let said = home.run(&["user", "list"], "");
    assert_eq!(said.status, 1);
    assert_eq!(
        said.err.matches('\n').count(),
        1,
        "one sentence: {}",
        said.err
    );

    let two = ["--config", "conf/a.toml", "--config", "conf/b.toml"];
    let said = home.run(&[&two[..], &["check", "--json"]].concat(), "");
    assert_eq!(said.status, 0, "{}{}", said.out, said.err);
    let findings: serde_json::Value = serde_json::from_str(&said.out).expect("JSON");
    assert_eq!(findings[0]["level"], "ok");
    assert_eq!(
        findings[0]["text"],
        "conf/a.toml, conf/b.toml: this is b.example"
    );
    let said = home.run(
        &[&two[..], &["user", "add", "x@b.example", "--generate"]].concat(),
        "",
    );
    assert_eq!(said.status, 0, "{}", said.err);
    assert!(
        home.path("conf/data/hearth.redb").exists(),
        "relative to its file"
    );

    let said = home.run_with(&["user", "list"], "", &[("HEARTH_CONFIG", "conf/a.toml")]);
    assert_eq!(said.status, 1, "the accounts are of b.example");
    assert!(
        said.err.contains("put domain = \"b.example\" back"),
        "{}",
        said.err
    );
    let said = home.run(&["--config", "missing.toml", "user", "list"], "");
    assert_eq!(said.status, 1);
    assert!(said.err.contains("missing.toml"), "{}", said.err);
}

#[test]
fn version_tells_four_things() {
    let home = Home::new();
    let said = home.run(&["version", "--json"], "");
    let value: serde_json::Value = serde_json::from_str(&said.out).expect("JSON");
    for key in ["version", "commit", "target", "tls"] {
        assert!(
            value[key].as_str().is_some_and(|text| !text.is_empty()),
            "{key}: {}",
            said.out
        );
    }
    assert!(
        value["tls"]
            .as_str()
            .is_some_and(|tls| tls.starts_with("rustls 0.")),
        "{}",
        said.out
    );
}

#[test]
fn nobody_else_reads_the_data() {
    let home = Home::new();
    home.run(&["user", "add", "alice@localhost", "--generate"], "");
    let mode = |file| {
        std::fs::metadata(home.path(file))
            .expect(file)
            .permissions()
            .mode()
            & 0o777
    };
    assert_eq!(mode("hearth-data"), 0o700);
    assert_eq!(mode("hearth-data/hearth.redb"), 0o600);
    assert_eq!(mode("hearth-data/journal"), 0o600);
}

#[test]
fn nothing_is_made_by_asking() {
    let home = Home::new();
    for (question, status) in [("check", 0), ("user list", 0), ("status", 1)] {
        let arguments: Vec<_> = question.split(' ').collect();
        let said = home.run(&arguments, "");
        assert_eq!(said.status, status, "{question}: {}", said.err);
        assert!(!home.path("hearth-data").exists(), "{question}");
    }
}

#[test]
fn a_place_for_data_that_is_none_is_named() {
    let home = Home::new();
    home.write("taken", "");
    home.write("hearth.toml", "data_dir = 'taken'");
    for command in ["user list", "serve", "check storage"] {
        let arguments: Vec<_> = command.split(' ').collect();
        let said = home.run(&arguments, "");
        assert_eq!(said.status, 1, "{command}");
        assert!(
            [said.out, said.err].concat().contains(
                "cannot use data_dir = \"taken\": File exists (os error 17); make it a directory"
            ),
            "{command}"
        );
    }
    home.write("hearth.toml", "data_dir = 'taken/data'");
    let said = home.run(&["check", "storage"], "");
    assert_eq!(said.status, 1, "{}", said.out);
    assert!(said.out.contains("cannot be made in"), "{}", said.out);
}
