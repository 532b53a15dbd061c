//! Which file a URL means. Paths are read as they stand: nothing in them leads anywhere.

use super::answer::Refused;
use axum::http::Uri;
use server::uploads::UploadId;

/// What follows `/upload`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) id: UploadId,
    /// Not escaped.
    pub(super) name: String,
}

impl Address {
    pub(super) fn read(uri: &Uri) -> Result<Address, Refused> {
        let file = uri.path().strip_prefix("/upload/").unwrap_or_default();
        let (id, name) = file.split_once('/').ok_or(Refused::NO_FILE)?;
        let id = UploadId::parse(id).ok_or(Refused::NO_FILE)?;
        if name.contains('/') {
            return Err(Refused::NO_FILE);
        }
        let name = unescaped(name).ok_or(Refused::BAD_NAME)?;
        Ok(Address { id, name })
    }
}

/// The token of a slot, in the query.
pub(super) fn token(uri: &Uri) -> &str {
    let parts = uri.query().unwrap_or_default().split('&');
    let mut tokens = parts.filter_map(|part| part.strip_prefix("token="));
    tokens.next().unwrap_or_default()
}

/// Percent-encoding (RFC 3986 §2.1); `None` for what is not, and for what is not UTF-8 then.
fn unescaped(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                (digit()? << 4 | digit()?) as u8
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        let id = "0123456789abcdef0123456789abcdef";
        let rows = [
            (format!("/upload/{id}/a.jpg"), Ok("a.jpg")),
            (
                format!("/upload/{id}/tr%C3%A8s%20cool.jpg?token=x"),
                Ok("très cool.jpg"),
            ),
            (format!("/upload/{id}/%2e%2e"), Ok("..")),
            (format!("/upload/{id}/"), Ok("")),
            (format!("/upload/{id}/a%2Fb"), Ok("a/b")),
            (format!("/upload/{id}/a%zz"), Err(400)),
            (format!("/upload/{id}/a%c"), Err(400)),
            (format!("/upload/{id}/%ff"), Err(400)),
            (format!("/upload/{id}"), Err(404)),
            (format!("/upload/{id}/a/b"), Err(404)),
            (format!("/upload//{id}/a"), Err(404)),
            (format!("/upload/{id}x/a"), Err(404)),
            (format!("/upload/{}/a", id.to_uppercase()), Err(404)),
            ("/upload/../../etc/passwd".to_owned(), Err(404)),
            ("/upload/%2e%2e/a".to_owned(), Err(404)),
            ("/upload".to_owned(), Err(404)),
        ];
        for (uri, expected) in rows {
            let read = Address::read(&uri.parse().expect("a URI"));
            match (read, expected) {
                (Ok(address), Ok(name)) => assert_eq!(address.name, name, "{uri}"),
                (Err(refused), Err(status)) => assert_eq!(refused.status, status, "{uri}"),
                (read, _) => panic!("{uri}: {read:?}"),
            }
        }
    }

    #[test]
    fn tokens() {
        let rows = [
            ("/upload/x?token=abc", "abc"),
            ("/upload/x?a=b&token=abc&c=d", "abc"),
            ("/upload/x?token=", ""),
            ("/upload/x?xtoken=abc", ""),
            ("/upload/x", ""),
        ];
        for (uri, expected) in rows {
            assert_eq!(token(&uri.parse().expect("a URI")), expected, "{uri}");
        }
    }
}
