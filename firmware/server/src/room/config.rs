//! How a room is configured (XEP-0045 §10.1.3, §16.5.3): values without a form. What a form says and which
//! of it is refused is in `features/muc/form.rs`.

use super::standing::Role;
use crate::limits::{ROOM_HISTORY_DEFAULT, ROOM_HISTORY_MAX};
use serde::{Deserialize, Serialize};

/// A room's configuration. Fields are in the order of the first release and only ever appended to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Config {
    /// For people; empty where nobody chose one.
    pub(crate) name: String,
    pub(crate) description: String,
    /// Of the discussions (`muc#roomconfig_lang`); empty where nobody said.
    pub(crate) lang: String,
    /// Listed by the service (§4.2: public, else hidden).
    pub(crate) public: bool,
    /// Stays when the last occupant leaves (§4.2: persistent, else temporary).
    pub(crate) persistent: bool,
    pub(crate) members_only: bool,
    pub(crate) moderated: bool,
    /// Empty where everybody gets in without one.
    pub(crate) password: String,
    /// Everybody sees real addresses, not only moderators (§4.2: non-anonymous, else semi-anonymous).
    pub(crate) non_anonymous: bool,
    /// Occupants, 0 for as many as the service allows.
    pub(crate) max_users: u32,
    /// Participants may change the subject, not only moderators.
    pub(crate) change_subject: bool,
    /// Whoever is there may invite; into a members-only room that makes a member (§7.8.2).
    pub(crate) allow_invites: bool,
    /// Who may send private messages: this role and above; `None` for nobody.
    pub(crate) allow_pm: Option<Role>,
    /// The roles whose presence is told to others (§7.2.2).
    pub(crate) presence_broadcast: Roles,
    /// The roles that may ask who is affiliated.
    pub(crate) get_member_list: Roles,
    /// Messages are kept, for members and for whoever enters (XEP-0313).
    pub(crate) archive: bool,
    /// Discussions are published outside the room, so that whoever enters is warned (§7.2.12).
    pub(crate) public_log: bool,
    /// Messages of history for whoever enters without asking for more or fewer.
    pub(crate) history: u32,
    /// Messages of history for whoever enters at most (`muc#maxhistoryfetch`).
    pub(crate) history_max: u32,
    /// Visitors may ask for voice (§7.13).
    pub(crate) voice_requests: bool,
    /// Visitors may have another status than at the door (§5.1.1).
    pub(crate) visitors_may_change: bool,
    /// Visitors may have another nickname than at the door.
    pub(crate) visitors_may_rename: bool,
    /// Bare JIDs of those to write to about the room (`muc#roominfo_contactjid`).
    pub(crate) contacts: Vec<String>,
}

/// A set of roles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Roles {
    pub(crate) moderator: bool,
    pub(crate) participant: bool,
    pub(crate) visitor: bool,
}

impl Roles {
    pub(crate) const EVERYBODY: Roles = Roles {
        moderator: true,
        participant: true,
        visitor: true,
    };

    /// The roles that may do what the lowest of these may: what one may, all above it may, too (§5.1.1).
    pub(crate) fn and_above(self) -> Roles {
        Roles {
            moderator: self.moderator || self.participant || self.visitor,
            participant: self.participant || self.visitor,
            visitor: self.visitor,
        }
    }

    pub(crate) fn contains(self, role: Role) -> bool {
        match role {
            Role::None => false,
            Role::Visitor => self.visitor,
            Role::Participant => self.participant,
            Role::Moderator => self.moderator,
        }
    }
}

impl Default for Config {
    /// What an instant room is (§10.1.2): hidden, temporary and open; addresses are for moderators.
    fn default() -> Config {
        Config {
            name: String::new(),
            description: String::new(),
            lang: String::new(),
            public: false,
            persistent: false,
            members_only: false,
            moderated: false,
            password: String::new(),
            non_anonymous: false,
            max_users: 0,
            change_subject: false,
            allow_invites: true,
            allow_pm: Some(Role::Visitor),
            presence_broadcast: Roles::EVERYBODY,
            get_member_list: Roles::EVERYBODY,
            archive: true,
            public_log: false,
            history: ROOM_HISTORY_DEFAULT,
            history_max: ROOM_HISTORY_MAX as u32,
            voice_requests: true,
            visitors_may_change: true,
            visitors_may_rename: true,
            contacts: Vec::new(),
        }
    }
}
