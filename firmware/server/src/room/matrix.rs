//! Who may change whose role and affiliation (XEP-0045 §5.1.3, §5.2.2, and what §8 to §10 add to them): the
//! matrices, without a room.

use super::standing::{Affiliation, Role};

/// Why something is not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Whoever asks may do nothing of that kind.
    Forbidden,
    /// They may, but not to this one.
    NotAllowed,
    /// Nobody may do that to themselves, or the room would have no owner.
    Conflict,
}

/// Somebody, as the matrices see them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) affiliation: Affiliation,
    pub(crate) role: Role,
}

impl Standing {
    fn is_admin(self) -> bool {
        self.affiliation >= Affiliation::Admin
    }

    /// §8: moderators; admins and owners are that wherever they are (§5.1.3).
    pub(crate) fn moderates(self) -> bool {
        self.role == Role::Moderator || self.is_admin()
    }

    /// §5.1.3: whether this one may give an occupant another role, or none.
    pub(crate) fn may_give(self, role: Role, to: Standing) -> Result<(), Refusal> {
        if !self.moderates() {
            return Err(Refusal::Forbidden); // §8
        }
        if role == to.role {
            return Ok(());
        }
        let from_moderator = to.role == Role::Moderator;
        match role {
            // §8.2; the chart of §5.1.3 leaves moderators to admins.
            Role::None if to.affiliation > self.affiliation => Err(Refusal::NotAllowed),
            Role::None if from_moderator && !self.is_admin() => Err(Refusal::NotAllowed),
            Role::None => Ok(()),
            Role::Moderator if !self.is_admin() => Err(Refusal::Forbidden), // §9.6
            Role::Moderator => Ok(()),
            _ if to.is_admin() => Err(Refusal::NotAllowed), // §8.4, §9.7
            _ if from_moderator && !self.is_admin() => Err(Refusal::Forbidden), // §9.7
            Role::Visitor if to.affiliation >= self.affiliation => Err(Refusal::NotAllowed), // §8.4
            _ => Ok(()),
        }
    }
}

impl Affiliation {
    /// §5.2.2: whether somebody of this affiliation may give somebody else another one.
    pub(crate) fn may_change(self, from: Affiliation, to: Affiliation) -> Result<(), Refusal> {
        use Affiliation::{Admin, Outcast, Owner};
        match self {
            Owner => Ok(()),
            Admin if from < Admin && to < Admin => Ok(()),
            Admin if to == Outcast => Err(Refusal::NotAllowed), // §9.1
            _ => Err(Refusal::Forbidden),                       // §9, §10.3 to §10.8
        }
    }

    /// §5.1.3, the last note: the role of an occupant whose affiliation becomes another. More brings at least
    /// the role that goes with it. Less takes that of an admin; what a member had been given stays.
    pub(crate) fn role_after(self, to: Affiliation, role: Role, moderated: bool) -> Role {
        let of_its_own = to.first_role(moderated);
        match to {
            Affiliation::Outcast => Role::None,
            _ if to >= self => role.max(of_its_own),
            _ if self >= Affiliation::Admin => of_its_own,
            _ => role,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFUSALS: [(char, Result<(), Refusal>); 4] = [
        ('+', Ok(())),
        ('f', Err(Refusal::Forbidden)),
        ('n', Err(Refusal::NotAllowed)),
        ('c', Err(Refusal::Conflict)),
    ];

    fn letter(outcome: Result<(), Refusal>) -> char {
        let mut refusals = REFUSALS.into_iter();
        refusals.find(|(_, known)| *known == outcome).unwrap().0
    }

    /// Everybody who can be in a room: an admin or owner is a moderator.
    const THERE: [(Affiliation, Role); 8] = [
        (Affiliation::None, Role::Visitor),
        (Affiliation::None, Role::Participant),
        (Affiliation::None, Role::Moderator),
        (Affiliation::Member, Role::Visitor),
        (Affiliation::Member, Role::Participant),
        (Affiliation::Member, Role::Moderator),
        (Affiliation::Admin, Role::Moderator),
        (Affiliation::Owner, Role::Moderator),
    ];

    /// §5.1.1, §5.1.3, §8.2 to §8.5, §9.6 to §9.8, for everybody to everybody. Rows: who decides. Columns: of
    /// whom, in the order of [`THERE`]. f: forbidden, n: not-allowed.
    #[test]
    fn roles_are_given_by_the_chart() {
        let tables = [
            (
                Role::None,
                [
                    "ffffffff", // no moderator kicks nobody
                    "ffffffff",
                    "++nnnnnn", // none: nobody of higher affiliation (§8.2), no moderator
                    "ffffffff", "ffffffff", "++n++nnn", // member
                    "+++++++n", // admin: not an owner (§8.2)
                    "++++++++",
                ],
            ),
            (
                Role::Visitor,
                [
                    "ffffffff", "ffffffff",
                    "+nf+nfnn", // nobody at its own level (§8.4); no moderator (§9.7)
                    "ffffffff", "ffffffff", "++f+nfnn",
                    "++++++nn", // nobody takes it from an admin or owner (§8.4)
                    "++++++nn",
                ],
            ),
            (
                Role::Participant,
                [
                    "ffffffff", "ffffffff", "++f++fnn", "ffffffff", "ffffffff", "++f++fnn",
                    "++++++nn", // §9.7
                    "++++++nn",
                ],
            ),
            (
                Role::Moderator,
                [
                    "ffffffff", "ffffffff",
                    "ff+ff+++", // §9.6: an admin's; what changes nothing is nobody's harm
                    "ffffffff", "ffffffff", "ff+ff+++", "++++++++", "++++++++",
                ],
            ),
        ];
        for (role, rows) in tables {
            for ((affiliation, own), row) in THERE.into_iter().zip(rows) {
                let by = Standing {
                    affiliation,
                    role: own,
                };
                let outcomes = THERE.map(|(affiliation, role_of_other)| {
                    let other = Standing {
                        affiliation,
                        role: role_of_other,
                    };
                    letter(by.may_give(role, other))
                });
                let outcomes = String::from_iter(outcomes);
                assert_eq!(outcomes, row, "{role:?} given by {by:?}");
            }
        }
    }

    /// An admin who is not there decides all the same.
    #[test]
    fn admins_moderate_from_outside() {
        for (affiliation, may) in [
            (Affiliation::Outcast, 'f'),
            (Affiliation::None, 'f'),
            (Affiliation::Member, 'f'),
            (Affiliation::Admin, '+'),
            (Affiliation::Owner, '+'),
        ] {
            let outside = Standing {
                affiliation,
                role: Role::None,
            };
            let visitor = Standing {
                affiliation: Affiliation::None,
                role: Role::Visitor,
            };
            assert_eq!(letter(outside.may_give(Role::Participant, visitor)), may);
        }
    }

    /// §5.2.1, §5.2.2 with §9.1 and §10.3 to §10.8. A table for each who decides; rows: from, columns: to,
    /// both in the order of [`Affiliation::ALL`].
    #[test]
    fn affiliations_change_by_the_chart() {
        let nobody = ["fffff"; 5];
        let admin = ["+++ff", "+++ff", "+++ff", "nffff", "nffff"];
        let owner = ["+++++"; 5];
        let tables = [nobody, nobody, nobody, admin, owner];
        for (by, rows) in Affiliation::ALL.into_iter().zip(tables) {
            for (from, row) in Affiliation::ALL.into_iter().zip(rows) {
                let outcomes = Affiliation::ALL.map(|to| letter(by.may_change(from, to)));
                assert_eq!(
                    String::from_iter(outcomes),
                    row,
                    "{by:?} changes a {from:?}"
                );
            }
        }
    }

    /// §5.1.3, the last note.
    #[test]
    fn a_role_follows_the_affiliation() {
        use Affiliation as A;
        use Role::{Moderator, None, Participant, Visitor};
        for (from, to, role, moderated, after) in [
            (A::None, A::Member, Visitor, true, Participant),
            (A::None, A::Member, Visitor, false, Participant),
            (A::None, A::Member, Moderator, true, Moderator),
            (A::None, A::Admin, Visitor, true, Moderator),
            (A::Member, A::Owner, Participant, false, Moderator),
            (A::Owner, A::Admin, Moderator, false, Moderator),
            (A::Admin, A::Member, Moderator, true, Participant),
            (A::Admin, A::None, Moderator, true, Visitor),
            (A::Owner, A::None, Moderator, false, Participant),
            (A::Member, A::None, Participant, true, Participant), // §9.4, the example
            (A::Member, A::None, Moderator, false, Moderator),
            (A::Member, A::None, Visitor, false, Visitor),
            (A::Member, A::Outcast, Participant, false, None),
        ] {
            assert_eq!(
                from.role_after(to, role, moderated),
                after,
                "{from:?} to {to:?}"
            );
        }
    }
}
