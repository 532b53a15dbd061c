//! The parts of an address, prepared, and their joining.

use std::{borrow::Cow, sync::Arc};

use super::{Jid, JidError, PART_BYTES_MAX, domain};
use crate::prep;

/// Bytes of one part before preparation. No character shrinks to less than a quarter; only text made of
/// ignorable characters could be longer and still fit, and nobody's name is.
const RAW_PART_BYTES_MAX: usize = 4 * PART_BYTES_MAX;

/// The three parts, prepared and within bounds.
pub(super) struct Parts<'a> {
    local: Option<Cow<'a, str>>,
    domain: Cow<'a, str>,
    resource: Option<Cow<'a, str>>,
}

impl<'a> Parts<'a> {
    pub(super) fn prepare(
        local: Option<&'a str>,
        domain: &'a str,
        resource: Option<&'a str>,
    ) -> Result<Parts<'a>, JidError> {
        Ok(Parts {
            local: local
                .map(|local| bounded(local, prep::nodeprep))
                .transpose()?,
            domain: bounded(domain, domain::prepare)?,
            resource: resource
                .map(|resource| bounded(resource, prep::resourceprep))
                .transpose()?,
        })
    }

    /// Whether preparing changed nothing in `text`, of which these are the parts: one allocation less for
    /// nearly every address on the wire. (A dot stripped from the domainpart shows as a missing byte.)
    pub(super) fn are_the_whole_of(&self, text: &str) -> bool {
        let borrowed = |part: &Option<Cow<'_, str>>| !matches!(part, Some(Cow::Owned(_)));
        let all_borrowed = borrowed(&self.local)
            && matches!(self.domain, Cow::Borrowed(_))
            && borrowed(&self.resource);
        all_borrowed && self.bytes() == text.len()
    }

    pub(super) fn join(&self) -> Jid {
        let mut text = String::with_capacity(self.bytes());
        if let Some(local) = &self.local {
            text.extend([local, "@"]);
        }
        text.push_str(&self.domain);
        if let Some(resource) = &self.resource {
            text.extend(["/", resource]);
        }
        self.with_text(text.into())
    }

    pub(super) fn with_text(&self, text: Arc<str>) -> Jid {
        let local = self.local.as_ref().map_or(0, |local| local.len());
        let slash = self.local_and_separator() + self.domain.len();
        Jid {
            text,
            local: local as u16,
            slash: slash as u16,
        }
    }

    fn bytes(&self) -> usize {
        self.local_and_separator()
            + self.domain.len()
            + self
                .resource
                .as_ref()
                .map_or(0, |resource| resource.len() + 1)
    }

    fn local_and_separator(&self) -> usize {
        self.local.as_ref().map_or(0, |local| local.len() + 1)
    }
}

/// Prepares one part; its length counts after preparation (RFC 7622 §3.2 to §3.4).
pub(super) fn bounded(
    raw: &str,
    prepare: fn(&str) -> Option<Cow<'_, str>>,
) -> Result<Cow<'_, str>, JidError> {
    if raw.len() > RAW_PART_BYTES_MAX {
        return Err(JidError::TooLong);
    }
    let part = prepare(raw).ok_or(JidError::Forbidden)?;
    match part.len() {
        0 => Err(JidError::Empty),
        1..=PART_BYTES_MAX => Ok(part),
        _ => Err(JidError::TooLong),
    }
}
