//! Affiliations and roles (XEP-0045 §5): what somebody is to a room for good, and what an occupant may do in
//! it now.

use serde::{Deserialize, Serialize};

/// §5.2: what a person is to a room, whether there or not. In the order of what each may do.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub(crate) enum Affiliation {
    Outcast,
    #[default]
    None,
    Member,
    Admin,
    Owner,
}

/// §5.1: what an occupant may do while there. In the order of what each may do.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub(crate) enum Role {
    /// Not there.
    #[default]
    None,
    Visitor,
    Participant,
    Moderator,
}

impl Affiliation {
    pub(crate) const ALL: [Affiliation; 5] = [
        Affiliation::Outcast,
        Affiliation::None,
        Affiliation::Member,
        Affiliation::Admin,
        Affiliation::Owner,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Affiliation::Outcast => "outcast",
            Affiliation::None => "none",
            Affiliation::Member => "member",
            Affiliation::Admin => "admin",
            Affiliation::Owner => "owner",
        }
    }

    pub(crate) fn parse(name: &str) -> Option<Affiliation> {
        Affiliation::ALL
            .into_iter()
            .find(|known| known.name() == name)
    }

    /// §5.1.2: the role with which somebody enters.
    pub(crate) fn first_role(self, moderated: bool) -> Role {
        match self {
            Affiliation::Outcast => Role::None,
            Affiliation::None if moderated => Role::Visitor,
            Affiliation::None | Affiliation::Member => Role::Participant,
            Affiliation::Admin | Affiliation::Owner => Role::Moderator,
        }
    }
}

impl Role {
    pub(crate) const ALL: [Role; 4] = [
        Role::None,
        Role::Visitor,
        Role::Participant,
        Role::Moderator,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Role::None => "none",
            Role::Visitor => "visitor",
            Role::Participant => "participant",
            Role::Moderator => "moderator",
        }
    }

    pub(crate) fn parse(name: &str) -> Option<Role> {
        Role::ALL.into_iter().find(|known| known.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// §5.1.2, the table.
    #[test]
    fn roles_at_the_door() {
        use Affiliation::{Admin, Member, None, Outcast, Owner};
        for (affiliation, moderated, open) in [
            (Outcast, Role::None, Role::None),
            (None, Role::Visitor, Role::Participant),
            (Member, Role::Participant, Role::Participant),
            (Admin, Role::Moderator, Role::Moderator),
            (Owner, Role::Moderator, Role::Moderator),
        ] {
            assert_eq!(affiliation.first_role(true), moderated, "{affiliation:?}");
            assert_eq!(affiliation.first_role(false), open, "{affiliation:?}");
        }
    }

    #[test]
    fn names_are_read_as_they_are_written() {
        for affiliation in Affiliation::ALL {
            assert_eq!(Affiliation::parse(affiliation.name()), Some(affiliation));
        }
        for role in Role::ALL {
            assert_eq!(Role::parse(role.name()), Some(role));
        }
    }
}
