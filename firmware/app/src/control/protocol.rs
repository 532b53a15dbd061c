//! What is said over the control socket.

use household::{Finding, Numbers, Part};
use serde::{Deserialize, Serialize};
use server::Outcome;
use std::{collections::BTreeMap, net::SocketAddr};

/// What to do. Passwords are in here: it has no `Debug`, and nobody logs it.
#[derive(Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub(crate) enum Request {
    Add(NewAccount),
    /// All or none. The lines are those of the file, for the refusal.
    Import {
        accounts: Vec<(u64, NewAccount)>,
    },
    Passwd {
        localpart: String,
        password: String,
    },
    Remove {
        localpart: String,
    },
    Disable {
        localpart: String,
    },
    Enable {
        localpart: String,
    },
    /// `None` for as long as everybody's.
    Keep {
        localpart: String,
        seconds: Option<u64>,
    },
    /// How many messages would go with that.
    WouldGo {
        localpart: String,
        seconds: u64,
    },
    List,
    Show {
        localpart: String,
    },
    Devices {
        localpart: String,
    },
    SignOut {
        localpart: String,
        device: String,
    },
    /// Sends each device of an account a push that says that it is a test.
    PushTest {
        localpart: String,
    },
    Reports,
    ListRooms,
    ShowRoom {
        localpart: String,
    },
    CreateRoom {
        localpart: String,
        name: String,
        members_only: bool,
    },
    DestroyRoom {
        localpart: String,
    },
    ShowFamily,
    FamilyRoomOn {
        localpart: Option<String>,
        name: String,
    },
    FamilyRoomOff,
    FamilyContactsOn {
        group: String,
    },
    FamilyContactsOff,
    CheckStorage,
    Records {
        question: RecordsQuestion,
    },
    CheckTls,
    CheckClock,
    CheckPorts,
    CheckTurn,
    Status,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct NewAccount {
    pub(crate) localpart: String,
    pub(crate) password: String,
    pub(crate) display_name: String,
    pub(crate) admin: bool,
}

/// What came of it.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Answer {
    Done,
    /// One sentence that says why not, and what to do.
    Refused(String),
    Accounts(Vec<AccountLine>),
    Account(AccountLine),
    Devices(Vec<DeviceLine>),
    Trials(Vec<TrialLine>),
    Messages(u64),
    Reports(Vec<ReportLine>),
    Rooms(Vec<RoomLine>),
    Room(RoomShown),
    Family(FamilyShown),
    RecordsPlanned(RecordsPlanned),
    RecordsSeen(Vec<RecordsSeen>),
    Findings(Vec<Finding>),
    Status(Status),
}

/// An account as `user list` and `user show` print it.
#[derive(Serialize, Deserialize)]
pub(crate) struct AccountLine {
    pub(crate) jid: String,
    pub(crate) admin: bool,
    pub(crate) enabled: bool,
    pub(crate) display_name: String,
    /// When its last device went offline, RFC 3339, UTC; `None` where none ever did.
    pub(crate) last_seen: Option<String>,
    pub(crate) bytes: u64,
    /// How long its messages are kept, where that was said for it alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) keep: Option<String>,
    /// When it is removed, where its owner asked for that. RFC 3339, UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) removal: Option<String>,
}

/// A device as `user devices` prints it.
#[derive(Serialize, Deserialize)]
pub(crate) struct DeviceLine {
    pub(crate) id: String,
    /// As the client told; empty where it did not.
    pub(crate) software: String,
    pub(crate) device: String,
    /// RFC 3339, UTC.
    pub(crate) first_seen: String,
    pub(crate) last_seen: String,
    pub(crate) connected: bool,
    /// Whether it signed in with the password that is in force.
    pub(crate) password: bool,
    /// Whether it has a token that it can sign in with.
    pub(crate) token: bool,
}

/// What became of a test push, as `user push-test` prints it.
#[derive(Serialize, Deserialize)]
pub(crate) struct TrialLine {
    /// The address of the push service.
    pub(crate) service: String,
    /// As the client told, or its resource.
    pub(crate) device: String,
    /// `taken`, `refused`, `dropped` where a refusal ended the registration, or `silent`.
    pub(crate) outcome: String,
    /// Why it was refused: a condition of RFC 6120 §8.3.3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) condition: Option<String>,
}

impl TrialLine {
    /// `said` is `None` where the time was over; an error where nobody waits for an answer any more.
    pub(crate) fn new<E>(
        service: String,
        device: String,
        said: Option<Result<Outcome, E>>,
    ) -> TrialLine {
        let (outcome, condition) = match said {
            Some(Ok(Outcome::Taken)) => ("taken", None),
            Some(Ok(Outcome::Refused {
                condition,
                is_forgotten: false,
            })) => ("refused", Some(condition)),
            Some(Ok(Outcome::Refused { condition, .. })) => ("dropped", Some(condition)),
            Some(Err(_)) | None => ("silent", None),
        };
        TrialLine {
            service,
            device,
            outcome: outcome.to_owned(),
            condition,
        }
    }
}

/// A room as `room list` prints it.
#[derive(Serialize, Deserialize)]
pub(crate) struct RoomLine {
    pub(crate) jid: String,
    pub(crate) name: String,
    pub(crate) occupants: usize,
    pub(crate) members_only: bool,
    pub(crate) persistent: bool,
}

/// A room as `room show` prints it.
#[derive(Serialize, Deserialize)]
pub(crate) struct RoomShown {
    #[serde(flatten)]
    pub(crate) line: RoomLine,
    pub(crate) description: String,
    /// Listed for everybody.
    pub(crate) public: bool,
    /// What is said there is kept.
    pub(crate) archive: bool,
    /// RFC 3339, UTC.
    pub(crate) created: String,
    /// Whoever is affiliated, owners first.
    pub(crate) people: Vec<RoomPerson>,
    /// Who may not enter.
    pub(crate) outcasts: Vec<String>,
}

/// Somebody who is something to a room.
#[derive(Serialize, Deserialize)]
pub(crate) struct RoomPerson {
    pub(crate) jid: String,
    /// `owner`, `admin` or `member`.
    pub(crate) affiliation: String,
}

/// What `family show` prints.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct FamilyShown {
    pub(crate) room: FamilyRoomShown,
    pub(crate) contacts: FamilyContactsShown,
}

#[derive(Default, Serialize, Deserialize)]
pub(crate) struct FamilyRoomShown {
    pub(crate) on: bool,
    /// It is there while it is off, too.
    pub(crate) jid: Option<String>,
    pub(crate) name: String,
}

#[derive(Default, Serialize, Deserialize)]
pub(crate) struct FamilyContactsShown {
    pub(crate) on: bool,
    pub(crate) group: String,
}

/// What is asked about the records of the house. With `adopts`, those of others in our place may be written
/// over.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum RecordsQuestion {
    Plan { adopts: bool },
    Apply { adopts: bool },
    Status,
}

/// What `dns plan` prints, and `dns apply` when it was done.
#[derive(Serialize, Deserialize)]
pub(crate) struct RecordsPlanned {
    /// `None` where nobody keeps the records.
    pub(crate) zone: Option<String>,
    /// Others' records stand in the way of all of it.
    pub(crate) is_held: bool,
    pub(crate) lines: Vec<RecordLine>,
}

/// A record and what is done about it.
#[derive(Serialize, Deserialize)]
pub(crate) struct RecordLine {
    /// `keep`, `create`, `change`, `adopt`, `remove`, `conflict`, or `enter` where that is left to people.
    pub(crate) action: String,
    /// Whole, without the dot at the end.
    pub(crate) name: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// As in a zone file.
    pub(crate) data: String,
    /// Seconds.
    pub(crate) ttl: u32,
    /// What is there instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) there: Option<String>,
}

/// What a name server answers about a record, as `dns status` prints it.
#[derive(Serialize, Deserialize)]
pub(crate) struct RecordsSeen {
    pub(crate) server: String,
    pub(crate) name: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) data: String,
    /// `ok`, `not there`, or why there is no answer.
    pub(crate) answer: String,
}

/// A report (XEP-0377) as `user reports` prints it.
#[derive(Serialize, Deserialize)]
pub(crate) struct ReportLine {
    /// RFC 3339, UTC.
    pub(crate) at: String,
    /// Who reports.
    pub(crate) by: String,
    /// Who is reported.
    pub(crate) jid: String,
    pub(crate) reason: String,
    pub(crate) text: String,
    pub(crate) stanza_ids: Vec<StanzaId>,
    pub(crate) may_go_to_origin: bool,
    pub(crate) may_go_to_third_parties: bool,
}

/// A message by its id (XEP-0359).
#[derive(Serialize, Deserialize)]
pub(crate) struct StanzaId {
    pub(crate) by: String,
    pub(crate) id: String,
}

/// What `status` prints.
#[derive(Serialize, Deserialize)]
pub(crate) struct Status {
    pub(crate) version: String,
    /// RFC 3339, UTC; `None` where no server runs.
    pub(crate) since: Option<String>,
    pub(crate) listeners: Listeners,
    pub(crate) health: Vec<Part>,
    #[serde(flatten)]
    pub(crate) numbers: Numbers,
    /// Other servers, a line for each, for people: not in what programs read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) servers: Vec<String>,
}

/// Bound addresses by the name of the listener, as in `[listen]`.
pub(crate) type Listeners = BTreeMap<String, Vec<SocketAddr>>;
