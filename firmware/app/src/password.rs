//! Where passwords come from: the terminal, one line of standard input, or dice. Never the command line.

use crate::{Usage, cli::PasswordSource, limits::PASSWORD_BYTES_MAX, machine::MachineDice};
use anyhow::{Context, Result, bail};
use server::world::random_id;
use std::io::{self, BufRead, IsTerminal};

/// The password, and whether it was made here and must be shown.
pub(crate) struct Password {
    pub(crate) text: String,
    pub(crate) generated: bool,
}

/// Gets a password from where the command line says.
pub(crate) fn obtain(source: &PasswordSource) -> Result<Password> {
    if source.generate {
        return Ok(Password {
            text: generate(),
            generated: true,
        });
    }
    let text = if source.password_stdin {
        from_line(io::stdin().lock())?
    } else if io::stdin().is_terminal() {
        from_terminal()?
    } else {
        return Err(Usage::new(
            "no password: there is no terminal; use --password-stdin or --generate",
        )
        .into());
    };
    if text.is_empty() {
        bail!("the password is empty: give one, or let --generate make one");
    }
    if text.len() > PASSWORD_BYTES_MAX {
        bail!("the password is longer than {PASSWORD_BYTES_MAX} bytes: take a shorter one");
    }
    Ok(Password {
        text,
        generated: false,
    })
}

/// Twenty letters and digits in groups of five: 100 bits that can be read out over a telephone.
fn generate() -> String {
    let characters: Vec<char> = [random_id(&MachineDice), random_id(&MachineDice)]
        .concat()
        .chars()
        .take(20)
        .collect();
    let groups: Vec<String> = characters
        .chunks(5)
        .map(|group| group.iter().collect())
        .collect();
    groups.join("-")
}

/// The first line, without its end.
fn from_line(from: impl BufRead) -> Result<String> {
    let mut line = String::new();
    // One byte more than allowed, and the end of the line, tell a password that is too long.
    from.take(PASSWORD_BYTES_MAX as u64 + 3)
        .read_line(&mut line)
        .context("cannot read the password from standard input")?;
    let text = line.strip_suffix('\n').unwrap_or(&line);
    Ok(text.strip_suffix('\r').unwrap_or(text).to_owned())
}

fn from_terminal() -> Result<String> {
    let ask = |prompt| {
        rpassword::prompt_password(prompt).context("cannot read the password from the terminal")
    };
    let first = ask("New password: ")?;
    if ask("The same again: ")? != first {
        bail!("the two passwords differ: try again");
    }
    Ok(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_is_one_password() {
        let rows = [
            ("secret\n", "secret"),
            ("secret\r\nmore\n", "secret"),
            ("sec ret ", "sec ret "),
            ("", ""),
        ];
        for (input, expected) in rows {
            assert_eq!(from_line(input.as_bytes()).expect("text"), expected);
        }
        let long = "x".repeat(PASSWORD_BYTES_MAX + 50);
        assert!(from_line(long.as_bytes()).expect("text").len() > PASSWORD_BYTES_MAX);
    }

    #[test]
    fn generated_passwords_are_long_and_differ() {
        let password = generate();
        assert_eq!(password.len(), 23, "{password}");
        assert_ne!(password, generate());
    }
}
