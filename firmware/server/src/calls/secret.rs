//! The secret that we share with the TURN server: text, so that a person can give one to both.

use super::limits::SECRET_FILE_BYTES_MAX;
use crate::{tls::Files, world::Dice};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};
use store::{Record, Store, Table, Urgency};

/// One row: the secret that was made at the first start.
const SECRET: Table<(), SecretRecord> = Table::new("calls.secret", 1);

/// Bytes from which ours is made: as many as a key of the hash behind it can use.
const RANDOM_BYTES: usize = 32;

/// The secret; never shown.
#[derive(Clone)]
pub struct Secret(Arc<str>);

#[derive(Serialize, Deserialize)]
struct SecretRecord {
    text: String,
}

impl Record for SecretRecord {}

/// Why there is no secret: a sentence with the key and the path, and nothing of the content.
#[derive(Debug)]
pub struct SecretError {
    file: PathBuf,
    why: Why,
}

#[derive(Debug)]
enum Why {
    Unreadable(io::Error),
    NoText,
    Empty,
    TooLong,
}

impl Secret {
    /// Reads `turn.secret_file`. White space around the text does not count: editors end files with a line.
    ///
    /// # Errors
    /// The file cannot be read, or holds no text, none but white space, or more than 4 096 bytes.
    pub fn read(files: &dyn Files, file: &Path) -> Result<Secret, SecretError> {
        let fault = |why| SecretError {
            file: file.to_owned(),
            why,
        };
        let bytes = files
            .read(file)
            .map_err(|error| fault(Why::Unreadable(error)))?;
        let text = str::from_utf8(&bytes).map_err(|_| fault(Why::NoText))?;
        match text.trim() {
            "" => Err(fault(Why::Empty)),
            text if text.len() > SECRET_FILE_BYTES_MAX => Err(fault(Why::TooLong)),
            text => Ok(Secret(text.into())),
        }
    }

    /// Reads our own from the store, or makes it.
    pub(super) fn open(store: &Arc<Store>, dice: &dyn Dice) -> Result<Secret, store::Error> {
        if let Some(kept) = SECRET.get(&store.snapshot()?, &())? {
            return Ok(Secret(kept.text.into()));
        }
        let mut random = [0; RANDOM_BYTES];
        dice.fill(&mut random);
        let text = URL_SAFE_NO_PAD.encode(random);
        let secret = Secret(text.as_str().into());
        store.queue(vec![SECRET.put(&(), &SecretRecord { text })], Urgency::Now);
        Ok(secret)
    }
}

#[cfg(test)]
impl Secret {
    pub(super) fn of(text: &str) -> Secret {
        Secret(text.into())
    }
}

/// The key, as whoever knows the text has it.
impl AsRef<[u8]> for Secret {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Secret) -> bool {
        verify_slices_are_equal(self.as_ref(), other.as_ref()).is_ok()
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

impl fmt::Display for SecretError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "turn.secret_file = \"{}\"", self.file.display())?;
        match &self.why {
            Why::Unreadable(error) => write!(
                f,
                " cannot be read ({error}): correct the path, or let the server's user read it"
            ),
            Why::NoText => f.write_str(" holds no text: write the secret in letters and digits"),
            Why::Empty => f.write_str(" is empty: write the secret into it, or leave the key out"),
            Why::TooLong => write!(
                f,
                " is longer than {SECRET_FILE_BYTES_MAX} bytes: write a shorter secret"
            ),
        }
    }
}

impl std::error::Error for SecretError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Fixture;

    /// A disk with one file.
    struct One(io::Result<Vec<u8>>);

    impl Files for One {
        fn read(&self, _: &Path) -> io::Result<Vec<u8>> {
            match &self.0 {
                Ok(bytes) => Ok(bytes.clone()),
                Err(error) => Err(error.kind().into()),
            }
        }

        fn write(&self, _: &Path, _: &[u8]) -> io::Result<()> {
            Err(io::ErrorKind::ReadOnlyFilesystem.into())
        }

        fn write_secret(&self, _: &Path, _: &[u8]) -> io::Result<()> {
            Err(io::ErrorKind::ReadOnlyFilesystem.into())
        }
    }

    #[test]
    fn a_file_holds_a_text() {
        let long = "x".repeat(SECRET_FILE_BYTES_MAX);
        let longer = format!("{long}y");
        let rows: [(&[u8], Result<&str, &str>); 7] = [
            (b"open sesame", Ok("open sesame")),
            (b" open sesame\r\n\n", Ok("open sesame")),
            ("nyílj ki\n".as_bytes(), Ok("nyílj ki")),
            (long.as_bytes(), Ok(&long)),
            (
                b" \n",
                Err(" is empty: write the secret into it, or leave the key out"),
            ),
            (
                b"\xff",
                Err(" holds no text: write the secret in letters and digits"),
            ),
            (
                longer.as_bytes(),
                Err(" is longer than 4096 bytes: write a shorter secret"),
            ),
        ];
        for (bytes, expected) in rows {
            let read = Secret::read(&One(Ok(bytes.to_vec())), Path::new("s"));
            match (read, expected) {
                (Ok(secret), Ok(text)) => assert_eq!(secret.as_ref(), text.as_bytes()),
                (Err(error), Err(why)) => {
                    assert_eq!(error.to_string(), format!("turn.secret_file = \"s\"{why}"));
                }
                (read, expected) => panic!("{read:?} instead of {expected:?}"),
            }
        }
        let missing = One(Err(io::ErrorKind::NotFound.into()));
        let error = Secret::read(&missing, Path::new("s")).unwrap_err();
        assert!(error.to_string().contains("cannot be read"), "{error}");
    }

    #[test]
    fn ours_is_made_once_and_shown_nowhere() {
        let home = Fixture::new(&[]);
        let secret = home.server.call_secret().unwrap();
        assert_eq!(secret.as_ref().len(), 43);
        assert_eq!(format!("{secret:?}"), "(secret)");
        home.write();
        let again = Fixture::on(home.disk.clone());
        assert!(again.server.call_secret() == Some(secret));
        let other = Fixture::new(&["juliet"]);
        assert!(other.server.call_secret().is_some());
    }
}
