//! The group of contacts, entry by entry: what an entry becomes, and what it was before.

use super::record::ContactRecord;
use crate::{
    limits::ROSTER_NAME_BYTES_MAX,
    roster::{Item, Subscription},
};

/// What is to be done about one contact of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Becomes a contact; with this name, where it is a new one.
    Make { name: String, group: String },
    /// Is what it was before, unless the person changed it a moment ago.
    Undo(ContactRecord),
    /// Stays, and is the person's own from now on.
    LetBe,
    /// Its account is no more.
    Gone(ContactRecord),
}

/// A name as an entry can have it.
pub(super) fn entry_name(display_name: &str) -> String {
    let name = display_name.trim();
    let fits = name.len() <= ROSTER_NAME_BYTES_MAX;
    if fits { name.to_owned() } else { String::new() }
}

/// The entry, and what is to be remembered of how it came to be. What the person named or sorted stays.
pub(super) fn make(known: Option<&Item>, name: &str, group: &str) -> (Item, ContactRecord) {
    let known = known.cloned().unwrap_or_default();
    let before = known.subscription;
    let made = !known.listed;
    let mut item = known.with_request(None);
    item.subscription = Subscription {
        to: true,
        from: true,
        ..Subscription::default()
    };
    if made {
        item.listed = true;
        item.name = name.into();
        item = item.with_groups([group.into()].into());
    }
    let record = ContactRecord {
        made,
        to: !before.to,
        from: !before.from,
        name: name.to_owned(),
        group: group.to_owned(),
    };
    (item, record)
}

/// Whether an entry is as it was made.
pub(super) fn is_untouched(item: Option<&Item>, record: &ContactRecord) -> bool {
    let Some(item) = item.filter(|item| item.listed) else {
        return false;
    };
    let is_both = item.subscription.to && item.subscription.from;
    let is_named = *item.name == *record.name;
    let is_sorted = matches!(item.groups(), [group] if **group == *record.group);
    is_both && (!record.made || is_named && is_sorted)
}

/// The entry as it was before.
pub(super) fn undo(item: &Item, record: &ContactRecord) -> Item {
    if record.made {
        return Item::default();
    }
    let mut item = item.clone();
    item.subscription.to &= !record.to;
    item.subscription.from &= !record.from;
    item
}

/// The entry after a step, where it is another one, and what is remembered from then on.
pub(super) fn after(known: Option<&Item>, step: &Step) -> (Option<Item>, Option<ContactRecord>) {
    match step {
        Step::Make { name, group } => {
            let (item, record) = make(known, name, group);
            let changes = record.made || record.to || record.from;
            (changes.then_some(item), Some(record))
        }
        Step::Undo(record) => {
            let item = known.filter(|item| is_untouched(Some(item), record));
            let changes = record.made || record.to || record.from;
            (
                item.filter(|_| changes).map(|item| undo(item, record)),
                None,
            )
        }
        Step::LetBe => (None, None),
        Step::Gone(record) => {
            let item = known.filter(|item| item.listed && record.made);
            (item.map(|_| Item::default()), None)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(subscription: &str, name: &str, group: &str) -> Item {
        let mut item = Item::default();
        item.name = name.into();
        item.subscription.to = matches!(subscription, "to" | "both");
        item.subscription.from = matches!(subscription, "from" | "both");
        item.subscription.pending_in = subscription == "asks";
        item.listed = subscription != "asks";
        let groups = (!group.is_empty()).then(|| group.into());
        item.with_groups(groups.into_iter().collect())
    }

    fn shown(item: Option<&Item>) -> String {
        item.filter(|item| item.listed)
            .map_or("-".to_owned(), |item| {
                format!(
                    "{} {} {:?}",
                    item.subscription.name(),
                    item.name,
                    item.groups()
                )
            })
    }

    /// An entry before the group is on, with it, and after it.
    #[test]
    fn what_was_made_is_taken_back_and_nothing_else() {
        for (before, with, after_it) in [
            (None, r#"both Bob ["Family"]"#, "-"),
            (Some(item("asks", "", "")), r#"both Bob ["Family"]"#, "-"),
            (Some(item("none", "B", "")), "both B []", "none B []"),
            (
                Some(item("to", "B", "x")),
                r#"both B ["x"]"#,
                r#"to B ["x"]"#,
            ),
            (Some(item("from", "", "")), "both  []", "from  []"),
            (Some(item("both", "B", "")), "both B []", "both B []"),
        ] {
            let step = Step::Make {
                name: "Bob".into(),
                group: "Family".into(),
            };
            let (made, record) = after(before.as_ref(), &step);
            let now = made.or(before);
            assert_eq!(shown(now.as_ref()), with);
            assert!(!now.as_ref().unwrap().subscription.pending_in);
            let (undone, forgotten) = after(now.as_ref(), &Step::Undo(record.unwrap()));
            assert_eq!(shown(undone.or(now).as_ref()), after_it);
            assert_eq!(forgotten, None);
        }
    }

    #[test]
    fn what_a_person_changed_is_theirs() {
        let (made, record) = make(None, "Bob", "Family");
        assert!(is_untouched(Some(&made), &record));
        for changed in [
            None,
            Some(item("both", "Bobby", "Family")),
            Some(item("both", "Bob", "Friends")),
            Some(item("both", "Bob", "")),
            Some(item("from", "Bob", "Family")),
            Some(item("none", "Bob", "Family")),
        ] {
            assert!(!is_untouched(changed.as_ref(), &record), "{changed:?}");
            assert_eq!(
                shown(
                    after(changed.as_ref(), &Step::Undo(record.clone()))
                        .0
                        .as_ref()
                ),
                "-"
            );
        }
    }

    #[test]
    fn names_fit_an_entry() {
        assert_eq!(entry_name(" Aunt Bea "), "Aunt Bea");
        assert_eq!(entry_name(&"a".repeat(ROSTER_NAME_BYTES_MAX + 1)), "");
    }
}
