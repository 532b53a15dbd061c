//! Resources of contacts on other servers that are available, as far as their presence came here: whom events
//! of an account's nodes go to (XEP-0163 §4.3.1).

use super::{Announced, Capabilities};
use crate::limits::{NEIGHBOURS_MAX, NEIGHBOURS_PER_CONTACT_MAX};
use std::sync::Arc;
use xmpp::Jid;

/// Sorted by address.
#[derive(Default)]
pub(crate) struct Neighbours(Vec<(Jid, Announced)>);

impl Neighbours {
    /// What a resource announced before; `None` where there are too many to keep another one.
    pub(crate) fn present(&mut self, resource: &Jid) -> Option<&mut Announced> {
        let list = &mut self.0;
        let at = match list.binary_search_by(|(jid, _)| jid.cmp(resource)) {
            Ok(at) => at,
            Err(_) if list.len() >= NEIGHBOURS_MAX => return None,
            Err(_) if here(list, resource) >= NEIGHBOURS_PER_CONTACT_MAX => return None,
            Err(at) => {
                list.insert(at, (resource.clone(), Announced::default()));
                at
            }
        };
        Some(&mut list[at].1)
    }

    /// One that is known to be there.
    pub(crate) fn get(&mut self, resource: &Jid) -> Option<&mut Announced> {
        let list = &mut self.0;
        let at = list.binary_search_by(|(jid, _)| jid.cmp(resource)).ok()?;
        Some(&mut list[at].1)
    }

    /// It is gone; under a bare address all resources are.
    pub(crate) fn absent(&mut self, resource: &Jid) {
        let list = &mut self.0;
        list.retain(|(jid, _)| jid != resource && jid.bare_str() != resource.as_str());
        if list.is_empty() {
            self.0 = Vec::new();
        }
    }

    /// The resources of a contact whose clients ask for events of a node.
    pub(crate) fn wanting(&self, contact: &Jid, node: &str) -> Vec<Jid> {
        let all = self.0.iter();
        let wanting = all
            .filter(|(jid, announced)| jid.bare_str() == contact.as_str() && announced.wants(node));
        wanting.map(|(jid, _)| jid.clone()).collect()
    }

    /// The same answer is for everybody who claims the same: gives those.
    pub(crate) fn know(&mut self, key: &str, capabilities: &Arc<Capabilities>) -> Vec<Jid> {
        let mut claimed = Vec::new();
        for (jid, announced) in &mut self.0 {
            if announced.key() == Some(key) {
                announced.know(capabilities.clone());
                claimed.push(jid.clone());
            }
        }
        claimed
    }
}

/// How many resources of the same contact are there.
fn here(list: &[(Jid, Announced)], resource: &Jid) -> usize {
    let same = |(jid, _): &&(Jid, Announced)| jid.bare_str() == resource.bare_str();
    list.iter().filter(same).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resources_come_and_go() {
        let jid = |text: &str| Jid::parse(text).unwrap();
        let mut neighbours = Neighbours::default();
        for resource in ["r@f/a", "r@f/b", "s@f/a"] {
            let announced = neighbours.present(&jid(resource)).unwrap();
            announced.claim("k");
        }
        let wants = Arc::new(Capabilities::from_bytes(b"n"));
        neighbours.know("k", &wants);
        assert_eq!(
            neighbours.wanting(&jid("r@f"), "n"),
            [jid("r@f/a"), jid("r@f/b")]
        );
        assert_eq!(neighbours.wanting(&jid("r@f"), "m"), []);
        neighbours.absent(&jid("r@f/a"));
        assert_eq!(neighbours.wanting(&jid("r@f"), "n"), [jid("r@f/b")]);
        neighbours.absent(&jid("r@f"));
        neighbours.absent(&jid("s@f/a"));
        assert_eq!(neighbours.0.capacity(), 0);
    }

    #[test]
    fn there_are_limits_for_all_and_for_each() {
        let mut neighbours = Neighbours::default();
        let mut is_there = |address: String| {
            let jid = Jid::parse(&address).unwrap();
            neighbours.present(&jid).is_some()
        };
        for n in 0..NEIGHBOURS_PER_CONTACT_MAX {
            assert!(is_there(format!("r@f/{n}")));
        }
        assert!(!is_there("r@f/x".into()) && is_there("r@f/0".into()));
        for n in NEIGHBOURS_PER_CONTACT_MAX..NEIGHBOURS_MAX {
            assert!(is_there(format!("c{n}@f/x")));
        }
        assert!(!is_there("s@f/x".into()) && is_there("r@f/0".into()));
    }
}
