//! Who got directed presence from a resource (RFC 6121 §4.6): mostly rooms, and seldom more than a few.

use xmpp::Jid;

/// Addresses in order, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Directed(Vec<Jid>);

impl Directed {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Jid> {
        self.0.iter()
    }

    /// Whether this very address got it.
    pub(crate) fn contains(&self, jid: &Jid) -> bool {
        self.0.binary_search(jid).is_ok()
    }

    /// Whether an address with this bare JID got it: somebody's resource, or an occupant of a room.
    pub(crate) fn reaches(&self, bare: &Jid) -> bool {
        self.0.iter().any(|to| to.bare_str() == bare.as_str())
    }

    pub(crate) fn insert(&mut self, jid: Jid) {
        if let Err(at) = self.0.binary_search(&jid) {
            self.0.reserve_exact(1); // most have none, and many one
            self.0.insert(at, jid);
        }
    }

    pub(crate) fn remove(&mut self, jid: &Jid) {
        if let Ok(at) = self.0.binary_search(jid) {
            self.0.remove(at);
        }
    }
}

impl IntoIterator for Directed {
    type Item = Jid;
    type IntoIter = std::vec::IntoIter<Jid>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl FromIterator<Jid> for Directed {
    fn from_iter<I: IntoIterator<Item = Jid>>(addresses: I) -> Directed {
        let mut all: Vec<Jid> = addresses.into_iter().collect();
        all.sort_unstable();
        all.dedup();
        Directed(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_is_there_once() {
        let jid = |text| Jid::parse(text).unwrap();
        let mut directed: Directed = [jid("b@c/d"), jid("a@c"), jid("b@c/d")]
            .into_iter()
            .collect();
        assert_eq!(directed.len(), 2);
        directed.insert(jid("a@c"));
        directed.insert(jid("a@c/e"));
        assert_eq!(directed.len(), 3);
        assert!(directed.contains(&jid("a@c/e")) && !directed.contains(&jid("b@c")));
        assert!(directed.reaches(&jid("b@c")) && !directed.reaches(&jid("c@c")));
        directed.remove(&jid("a@c"));
        directed.remove(&jid("a@c"));
        assert_eq!(
            directed.iter().map(Jid::as_str).collect::<Vec<_>>(),
            ["a@c/e", "b@c/d"]
        );
    }
}
