//! From files to a [`Config`]: parse each, refuse what nobody knows, merge key by key over the defaults.
//!
//! Every key of a file is tried alone on top of the defaults before it is merged, so that an error always has
//! a file, a key and a value.

use super::Config;
use std::{
    fmt,
    fs::File,
    io::Read,
    net::SocketAddr,
    path::{Path, PathBuf},
};
use toml::{Table, Value};

const DEFAULTS: &str = include_str!("../defaults.toml");

/// Keys whose values are paths, relative to their file.
const PATHS: &[&str] = &[
    "data_dir",
    "tls.certificate",
    "tls.key",
    "tls.extra_ca",
    "dns.token_file",
    "turn.secret_file",
];

/// Bytes of a configuration file: a hundred times the default one, and still read at once.
const FILE_BYTES_MAX: u64 = 1_000_000;

/// Why there is no configuration: one sentence with the file, the key, the value and the fix.
#[derive(Debug, PartialEq, Eq)]
pub struct ConfigError(String);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

impl Default for Config {
    fn default() -> Config {
        defaults()
            .try_into()
            .expect("a test reads the built-in defaults")
    }
}

impl Config {
    /// Reads files over the defaults; later files win key by key. Relative paths are relative to their file.
    pub fn read(files: &[PathBuf]) -> Result<Config, ConfigError> {
        let mut texts = Vec::new();
        for file in files {
            texts.push((file.as_path(), read_text(file)?));
        }
        Config::from_texts(texts.iter().map(|(file, text)| (*file, text.as_str())))
    }

    /// The same, from texts; the paths name them in errors and are what relative paths are relative to.
    pub fn from_texts<'a>(
        files: impl IntoIterator<Item = (&'a Path, &'a str)>,
    ) -> Result<Config, ConfigError> {
        let known = defaults();
        let mut merged = known.clone();
        let mut names = Vec::new();
        for (file, text) in files {
            let source = Source {
                file,
                text,
                known: &known,
            };
            let table = source.parse()?;
            for (key, value) in leaves(&table, &known) {
                let value = source.accept(&key, value)?;
                put(&mut merged, &key, value);
            }
            names.push(file.display().to_string());
        }
        let config: Config = merged.try_into().expect("each key was accepted on its own");
        match contradiction(&config) {
            None => Ok(config),
            Some(what) => Err(ConfigError(format!("{}: {what}", names.join(", ")))),
        }
    }
}

fn defaults() -> Table {
    DEFAULTS
        .parse()
        .expect("a test reads the built-in defaults")
}

fn read_text(file: &Path) -> Result<String, ConfigError> {
    let cannot = |why: &dyn fmt::Display| {
        let file = file.display();
        ConfigError(format!(
            "cannot read the configuration {file}: {why}; check --config and $HEARTH_CONFIG"
        ))
    };
    let open = File::open(file).map_err(|error| cannot(&error))?;
    let mut text = String::new();
    let mut start = open.take(FILE_BYTES_MAX + 1);
    match start.read_to_string(&mut text) {
        Ok(size) if size as u64 > FILE_BYTES_MAX => Err(cannot(&"it is larger than 1 MB")),
        Ok(_) => Ok(text),
        Err(error) => Err(cannot(&error)),
    }
}

/// What no single key can tell.
fn contradiction(config: &Config) -> Option<String> {
    let tls = &config.tls;
    if tls.mode == super::TlsMode::Files {
        for (key, path) in [("certificate", &tls.certificate), ("key", &tls.key)] {
            if path.as_os_str().is_empty() {
                return Some(format!(
                    "tls.mode = \"files\" needs tls.{key}: write the path of a PEM file"
                ));
            }
        }
    }
    let names = &config.names;
    if let Some(name) = repeated([&names.rooms, &names.upload, &names.proxy, &names.pubsub]) {
        return Some(format!(
            "two keys of [names] are \"{name}\": give each component its own name"
        ));
    }
    let mut secrets = config.components.iter();
    if let Some((name, _)) = secrets.find(|(_, secret)| secret.expose().is_empty()) {
        return Some(format!(
            "components.\"{name}\" is empty: write the secret that the component knows, too"
        ));
    }
    let mut privileged = config.privileges.keys();
    if let Some(name) = privileged.find(|name| !config.components.contains_key(*name)) {
        return Some(format!(
            "privileges.\"{name}\" is of no component: [components] needs a line for it with its secret"
        ));
    }
    let address = repeated(listeners(config).filter(|address| address.port() != 0))?;
    Some(format!(
        "[listen] has {address} twice: give each listener its own port, or switch one off with []"
    ))
}

fn listeners(config: &Config) -> impl Iterator<Item = &SocketAddr> {
    let it = &config.listen;
    let streams = [&it.c2s, &it.c2s_tls, &it.s2s, &it.s2s_tls];
    let rest = [
        &it.https,
        &it.http,
        &it.component,
        &it.stun,
        &it.turn_tls,
        &it.proxy65,
    ];
    streams.into_iter().chain(rest).flatten()
}

fn repeated<T: PartialEq>(values: impl IntoIterator<Item = T>) -> Option<T> {
    let mut seen = Vec::new();
    values.into_iter().find_map(|value| {
        let again = seen.contains(&value);
        if again {
            Some(value)
        } else {
            seen.push(value);
            None
        }
    })
}

/// A dotted key, as `tls.mode`; the last part may contain dots itself (`components.irc.localhost`).
type Key = Vec<String>;

/// The keys of a table that hold a value. A table where no section is known is a value, too: a wrong one.
fn leaves<'a>(table: &'a Table, known: &Table) -> Vec<(Key, &'a Value)> {
    let mut found = Vec::new();
    for (name, value) in table {
        match (value, known.get(name)) {
            (Value::Table(section), Some(Value::Table(_))) => {
                found.extend(
                    section
                        .iter()
                        .map(|(inner, value)| (vec![name.clone(), inner.clone()], value)),
                );
            }
            _ => found.push((vec![name.clone()], value)),
        }
    }
    found
}

fn put(table: &mut Table, key: &[String], value: Value) {
    match key {
        [section, name] => {
            if let Some(Value::Table(section)) = table.get_mut(section) {
                section.insert(name.clone(), value);
            }
        }
        [name] => {
            table.insert(name.clone(), value);
        }
        _ => {}
    }
}

/// One file.
struct Source<'a> {
    file: &'a Path,
    text: &'a str,
    known: &'a Table,
}

impl Source<'_> {
    fn parse(&self) -> Result<Table, ConfigError> {
        self.text.parse().map_err(|error: toml::de::Error| {
            let at = error
                .span()
                .map_or(0, |span| span.start)
                .min(self.text.len());
            let line = self
                .text
                .get(..at)
                .unwrap_or_default()
                .matches('\n')
                .count()
                + 1;
            let what = error.message().trim().replace('\n', ", ");
            let key = self.text.lines().nth(line - 1).and_then(key_of_line);
            let place = key.map_or_else(
                || format!("line {line}"),
                |key| format!("line {line} ({key})"),
            );
            self.error(match &*what {
                "duplicate key" => format!("{place} is there twice: keep one of the two"),
                what => format!("{place} is no TOML: {what}"),
            })
        })
    }

    /// The value as it goes into the merged configuration, if there is such a key and the value fits.
    fn accept(&self, key: &[String], value: &Value) -> Result<Value, ConfigError> {
        let path = key.join(".");
        let default = match self.find(key) {
            Found::Section => {
                return Err(self.error(format!(
                    "{path} is a section, no key: write [{path}] and its keys below"
                )));
            }
            Found::Nothing => {
                let nearest = self.nearest(key, value);
                return Err(self.error(format!(
                    "unknown key {path}{}: did you mean {nearest}?",
                    shown(key, value)
                )));
            }
            Found::Key(default) => default,
        };
        let value = self.rooted(&path, value.clone());
        // Serde would take a date for a text.
        if value.is_datetime() {
            let (shown, kind) = (shown(key, &value), kind(default));
            return Err(self.error(format!("{path}{shown} is wrong: {kind}")));
        }
        let mut alone = self.known.clone();
        put(&mut alone, key, value.clone());
        match alone.try_into::<Config>() {
            Ok(_) => Ok(value),
            Err(error) => {
                let what = match error.message().trim() {
                    // Words of the parser's, about types that only it knows.
                    words if words.starts_with("invalid type") => kind(default),
                    words => words,
                };
                let default = default
                    .map(|it| format!(" (the default is {it})"))
                    .unwrap_or_default();
                Err(self.error(format!(
                    "{path}{} is wrong: {what}{default}",
                    shown(key, &value)
                )))
            }
        }
    }

    fn find(&self, key: &[String]) -> Found<'_> {
        let place = match key {
            [section, name] => match self.known.get(section) {
                // An empty section in the defaults is one whose keys are names of the administrator's.
                Some(Value::Table(section)) if section.is_empty() => return Found::Key(None),
                Some(Value::Table(section)) => section.get(name),
                _ => None,
            },
            [name] => self.known.get(name),
            _ => None,
        };
        match place {
            Some(Value::Table(_)) => Found::Section,
            Some(default) => Found::Key(Some(default)),
            None => Found::Nothing,
        }
    }

    /// The known key, or section, that looks most like this one, also from the wrong section.
    fn nearest(&self, key: &[String], value: &Value) -> String {
        let mut candidates = Vec::new();
        for (name, known) in self.known {
            match known {
                Value::Table(_) if value.is_table() => candidates.push(format!("[{name}]")),
                Value::Table(section) => {
                    candidates.extend(section.keys().map(|inner| format!("{name}.{inner}")));
                }
                _ => candidates.push(name.clone()),
            }
        }
        let path = key.join(".");
        let last = key.last().map_or("", String::as_str);
        let distance = |candidate: &String| {
            let candidate = candidate.trim_matches(['[', ']']);
            let name = candidate.rsplit('.').next().unwrap_or(candidate);
            let whole = 2 * strsim::damerau_levenshtein(candidate, &path);
            let moved = 2 * strsim::damerau_levenshtein(name, last) + 1;
            whole.min(moved)
        };
        candidates
            .into_iter()
            .min_by_key(distance)
            .unwrap_or_default()
    }

    /// Relative paths are relative to the file they stand in.
    fn rooted(&self, path: &str, value: Value) -> Value {
        match &value {
            Value::String(text) if PATHS.contains(&path) && !text.is_empty() => {
                let base = self.file.parent().unwrap_or(Path::new(""));
                let joined: PathBuf = base.join(text).components().collect();
                joined
                    .into_os_string()
                    .into_string()
                    .map_or(value, Value::String)
            }
            _ => value,
        }
    }

    fn error(&self, what: String) -> ConfigError {
        ConfigError(format!("{}: {what}", self.file.display()))
    }
}

/// The key, or the `[section]`, of a line of a file that is no TOML; never what may be a value.
fn key_of_line(line: &str) -> Option<&str> {
    let line = line.trim();
    if line.starts_with('[') {
        return line.find(']').map(|end| &line[..=end]);
    }
    let (key, _) = line.split_once('=')?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.\"' ".contains(c);
    key.chars().all(plain).then(|| key.trim())
}

enum Found<'a> {
    /// A key, with its default where it has one.
    Key(Option<&'a Value>),
    Section,
    Nothing,
}

/// What a value of the default's type looks like.
fn kind(default: Option<&Value>) -> &'static str {
    match default {
        Some(Value::Boolean(_)) => "write true or false, without quotation marks",
        Some(Value::Integer(_)) => "write a whole number, without quotation marks",
        Some(Value::Array(_)) => {
            "write a list of texts in quotation marks, like [\"one\", \"two\"]"
        }
        _ => "write a text in quotation marks",
    }
}

/// ` = value` for an error, short, and never a secret.
fn shown(key: &[String], value: &Value) -> String {
    const CHARACTERS_MAX: usize = 60;
    if key.first().is_some_and(|section| section == "components") || value.is_table() {
        return String::new();
    }
    let text = value.to_string();
    let mut short: String = text.chars().take(CHARACTERS_MAX).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    format!(" = {short}")
}
