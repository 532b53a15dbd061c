//! Rows in a database of SQLite, put there while its server is not running: what would take hours through
//! the server's own protocol. By Python, whose SQLite is Debian's, like the servers'.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::{
    io::Write,
    path::Path,
    process::{Command, Stdio},
    time::SystemTime,
};

/// Runs SQL statements in a database with a write-ahead log, which the file remembers from then on; each
/// statement once per row of its parameters.
pub(crate) fn execute(database: &Path, statements: &[(&str, Value)]) -> Result<()> {
    let statements: Vec<Value> = statements
        .iter()
        .map(|(sql, rows)| json!([sql, rows]))
        .collect();
    python(EXECUTE, &json!([database, statements]))
}

/// Messages between the two people of every pair, archived for both. `insert` takes a user, the other's
/// bare JID, the time in seconds (a fraction), a name that differs and the message's XML, in this order.
pub(crate) fn converse(
    database: &Path,
    insert: &str,
    pairs: &[[String; 2]],
    domain: &str,
    messages: usize,
) -> Result<()> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    let task = json!([database, insert, pairs, domain, messages, now.as_secs()]);
    python(CONVERSE, &task)
}

fn python(script: &str, task: &Value) -> Result<()> {
    let mut child = Command::new("/usr/bin/python3")
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot start python3")?;
    let mut stdin = child.stdin.take().context("stdin is a pipe")?;
    stdin.write_all(task.to_string().as_bytes())?;
    drop(stdin);
    let output = child.wait_with_output()?;
    ensure!(
        output.status.success(),
        "no database: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

const EXECUTE: &str = r"
import json, sqlite3, sys
path, statements = json.load(sys.stdin)
database = sqlite3.connect(path)
database.execute('PRAGMA journal_mode=WAL')
for sql, rows in statements:
    if rows is None:
        database.executescript(sql)
    else:
        database.executemany(sql, rows)
database.commit()
";

/// The messages end now and are a second apart: old ones would be taken out by some.
const CONVERSE: &str = r#"
import json, sqlite3, sys
path, insert, pairs, domain, messages, now = json.load(sys.stdin)
database = sqlite3.connect(path)
# What is lost with the power is this tool's own.
database.execute('PRAGMA synchronous=OFF')
def rows():
    for number in range(messages):
        for index, (one, other) in enumerate(pairs):
            name = '%d-%d' % (number, index)
            head = "<message xmlns='jabber:client' type='chat' id='%s' to='%s@%s' from='%s@%s/bench'><body>"
            xml = head % (name, other, domain, one, domain)
            xml += 'x' * (380 - len(xml)) + '</body></message>'
            stamp = now - messages + number + index / 1000
            yield one, other + '@' + domain, stamp, name, xml
            yield other, one + '@' + domain, stamp, name, xml
database.executemany(insert, rows())
database.commit()
database.execute('PRAGMA wal_checkpoint(TRUNCATE)')
"#;
