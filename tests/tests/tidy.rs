//! What a reviewer should not have to look for: sizes, scripts for features, derived documents, licences
//! and bans.
//!
//! `BLESS=1` rewrites what is derived.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Columns of a line of code.
const COLUMNS_MAX: usize = 110;
/// Lines of a file: beyond this, two names are clearer than one.
const FILE_LINES_MAX: usize = 600;
/// Lines of a function: one screen.
const FUNCTION_LINES_MAX: usize = 60;

/// Longer functions, tables of tests all of them. The list may only shrink.
const LONG_FUNCTIONS: [&str; 5] = [
    "firmware/app/tests/binary/commands.rs",
    "firmware/household/tests/config.rs",
    "firmware/store/tests/suite/failing_disk.rs",
    "firmware/xmpp/src/sasl/tests/refusals.rs",
    "firmware/xmpp/src/sasl/tests/refusals.rs",
];

/// Crates that may never come into the tree, and why.
const BANNED: [(&str, &str); 4] = [
    ("ring", "one crypto provider: aws-lc-rs"),
    ("openssl-sys", "one TLS library: rustls"),
    ("native-tls", "one TLS library: rustls"),
    (
        "atomic-polyfill",
        "unmaintained; comes with postcard's default features",
    ),
];

/// Licences of dependencies; an expression passes if one of its alternatives does.
const LICENCES: [&str; 12] = [
    "MIT",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "ISC",
    "MIT-0",
    "OpenSSL",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every file under the folders of the project with that ending.
fn files(ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = ["firmware", "web-ui", "board", "image", "tests"]
        .map(|folder| root().join(folder))
        .into();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of the project") {
            let path = entry.expect("a readable entry").path();
            let skipped = path
                .file_name()
                .is_some_and(|name| name == "target" || name == "corpus");
            if path.is_dir() && !skipped {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root())
        .unwrap_or(path)
        .display()
        .to_string()
}

fn report(what: &str, faults: &[String]) {
    assert!(faults.is_empty(), "{what}:\n{}", faults.join("\n"));
}

#[test]
fn files_and_functions_fit_a_reader() {
    let mut faults = Vec::new();
    let mut long = Vec::new();
    for path in files("rs") {
        let text = fs::read_to_string(&path).expect("UTF-8 source");
        let count = text.lines().count();
        if count > FILE_LINES_MAX {
            faults.push(format!("{}: {count} lines", shown(&path)));
        }
        if !text.starts_with("//!") && !text.starts_with("#![") {
            faults.push(format!(
                "{}: does not begin with what it is for",
                shown(&path)
            ));
        }
        for (number, line) in text.lines().enumerate() {
            if line.chars().count() > COLUMNS_MAX {
                faults.push(format!(
                    "{}:{}: longer than {COLUMNS_MAX} columns",
                    shown(&path),
                    number + 1
                ));
            }
        }
        long.extend(long_functions(&path, &text));
    }
    let known: Vec<&str> = long.iter().map(|(path, _)| path.as_str()).collect();
    if known != LONG_FUNCTIONS {
        faults.extend(long.iter().map(|(path, what)| format!("{path}: {what}")));
        faults.push("the list of long functions is another one now; it may only shrink".to_owned());
    }
    report("sizes", &faults);
}

/// Functions end, under rustfmt, at the first closing brace in the column of their `fn`.
fn long_functions(path: &Path, text: &str) -> Vec<(String, String)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut faults = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let indent = line.len() - line.trim_start().len();
        let head = line
            .trim_start()
            .trim_start_matches("pub(crate) ")
            .trim_start_matches("pub(super) ");
        let head = head
            .trim_start_matches("pub ")
            .trim_start_matches("const ")
            .trim_start_matches("async ");
        if !head.starts_with("fn ") {
            continue;
        }
        let end = lines[start..].iter().position(|l| {
            l.starts_with('}') && indent == 0 || {
                l.len() > indent
                    && l.is_char_boundary(indent)
                    && l[indent..].starts_with('}')
                    && l[..indent].trim().is_empty()
            }
        });
        let length = end.map_or(0, |end| end + 1);
        if length > FUNCTION_LINES_MAX {
            faults.push((
                shown(path),
                format!("line {}: a function of {length} lines", start + 1),
            ));
        }
    }
    faults
}

#[test]
fn every_feature_has_a_script() {
    let scripts: Vec<String> = files("script").iter().map(|path| shown(path)).collect();
    let mut faults = Vec::new();
    for path in files("rs")
        .iter()
        .filter(|path| shown(path).contains("server/src/features/"))
    {
        let stem = path
            .file_stem()
            .map(|stem| stem.to_string_lossy().replace('_', "-"))
            .unwrap_or_default();
        if stem != "mod" && !scripts.iter().any(|script| script.contains(&stem)) {
            faults.push(format!(
                "{}: no script named after it in tests/scripts",
                shown(path)
            ));
        }
    }
    report("features without a script", &faults);
}

#[test]
fn every_limit_says_why() {
    let mut faults = Vec::new();
    for path in files("rs")
        .iter()
        .filter(|path| path.file_name().is_some_and(|name| name == "limits.rs"))
    {
        let text = fs::read_to_string(path).expect("UTF-8 source");
        let mut previous = "";
        for line in text.lines() {
            if line.trim_start().starts_with("pub")
                && line.contains("const ")
                && !previous.starts_with("///")
            {
                faults.push(format!("{}: {line}", shown(path)));
            }
            previous = line.trim_start();
        }
    }
    report("limits without a reason", &faults);
}

/// House rule 2, and the boundary of `household` (rule 11), read off the manifests.
#[test]
fn boundaries_hold() {
    let mut faults = Vec::new();
    for path in files("toml")
        .iter()
        .filter(|path| path.file_name().is_some_and(|name| name == "Cargo.toml"))
    {
        let text = fs::read_to_string(path).expect("a manifest");
        let shown = shown(path);
        let mut forbid = |crate_: &str, allowed: &str| {
            let uses = text
                .lines()
                .any(|line| line.split(['.', ' ', '=']).next() == Some(crate_));
            if uses && !shown.contains(allowed) {
                faults.push(format!("{shown}: depends on {crate_}"));
            }
        };
        forbid("redb", "firmware/store/");
        if ["web-ui/", "board/", "firmware/household/"]
            .iter()
            .any(|part| shown.starts_with(part))
        {
            forbid("server", "-");
            forbid("store", "-");
            forbid("xmpp", "-");
        }
    }
    report("boundaries", &faults);
}

/// Of what the binary is made of; what only tests use may be licensed and chosen more freely.
#[test]
fn dependencies_are_few_and_free() {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--locked",
            "--package",
            "hearth",
            "--edges",
            "normal,build",
        ])
        .args(["--target", "all", "--prefix", "none", "--format", "{p}|{l}"])
        .current_dir(root())
        .output()
        .expect("cargo tree runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let tree = String::from_utf8_lossy(&output.stdout);
    let packages: BTreeSet<(&str, &str)> = tree
        .lines()
        .filter_map(|line| line.trim_end_matches(" (*)").split_once('|'))
        .map(|(package, licence)| (package.split(' ').next().unwrap_or_default(), licence))
        .collect();
    assert!(
        packages.len() > 50,
        "a tree of {} packages is none",
        packages.len()
    );
    let mut faults = Vec::new();
    for (name, licence) in packages {
        if let Some((_, reason)) = BANNED.iter().find(|(banned, _)| *banned == name) {
            faults.push(format!("{name}: {reason}"));
        }
        if !is_free(licence) {
            faults.push(format!("{name}: licence {licence}"));
        }
    }
    report("dependencies", &faults);
}

fn is_free(expression: &str) -> bool {
    let expression = expression.replace('/', " OR ");
    let passes = |alternative: &str| {
        alternative
            .split(" AND ")
            .all(|part| LICENCES.contains(&part.trim().trim_matches(['(', ')']).trim()))
    };
    expression.split(" OR ").any(passes) || passes(&expression.replace(" OR ", " AND "))
}

/// The README's table of specifications is what the rows of the features say.
#[test]
fn the_table_of_xeps_is_fresh() {
    let path = root().join("README.md");
    let readme = fs::read_to_string(&path).expect("README.md");
    let (before, rest) = readme
        .split_once("<!-- XEPs -->\n")
        .expect("a mark before the table");
    let (table, after) = rest
        .split_once("<!-- /XEPs -->")
        .expect("a mark behind the table");
    let mut rows: Vec<(u16, String)> = server::specs()
        .filter_map(|spec| match spec {
            server::Spec::Xep(number, version, name) => {
                let link = format!("https://xmpp.org/extensions/xep-{number:04}.html");
                let row = format!("| [XEP-{number:04}]({link}) | {name} | {version} |\n");
                Some((number, row))
            }
            server::Spec::Rfc(_) | server::Spec::Own(_) => None,
        })
        .collect();
    rows.sort();
    let fresh: String = rows.into_iter().map(|(_, row)| row).collect();
    let fresh = format!("| specification | name | version |\n|---|---|---|\n{fresh}");
    if std::env::var_os("BLESS").is_some() {
        fs::write(
            &path,
            format!("{before}<!-- XEPs -->\n{fresh}<!-- /XEPs -->{after}"),
        )
        .expect("README.md is ours");
    } else {
        assert_eq!(table, fresh, "run the test with BLESS=1");
    }
}
