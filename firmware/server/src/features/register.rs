//! XEP-0077: In-Band Registration, once somebody has signed in: changing the password, and giving up the
//! account. Making one is part of the negotiation.
//!
//! State: that of `accounts.rs`; nothing of its own.

use crate::{
    account::Cx,
    accounts::{self, Refusal},
    feature::{Answer, Feature, Iq, IqHandler, IqHook, On, Plan, Read, Spec, get},
    registration::{self, NS, Wish, numbered},
    server::AccountChange,
};
use tracing::{error, info};
use xmpp::{Element, StanzaError, compose};

/// §3.3: what the form of a change is called.
const CHANGE: &str = "jabber:iq:register:changepassword";

const ANOTHER: StanzaError =
    StanzaError::NOT_ALLOWED.with_text("you are signed in: sign out to register another account");
const LAST_ADMINISTRATOR: StanzaError = StanzaError::NOT_ALLOWED
    .with_text("you are the last administrator: make somebody else one first");

pub(super) const FEATURE: Feature = Feature {
    spec: Spec::Xep(77, "2.4", "In-Band Registration"),
    disco: &[(On::Server, NS)],
    iq: &[
        get(On::Server, (NS, "query"), registered),
        get(On::OwnAccount, (NS, "query"), registered),
        change(On::Server),
        change(On::OwnAccount),
    ],
    ..Feature::NONE
};

const fn change(on: On) -> IqHandler {
    IqHandler {
        on,
        type_: "set",
        payload: (NS, "query"),
        hook: IqHook::Reads(decide),
    }
}

/// §3.1: what is on file, the password excepted.
fn registered(cx: &mut Cx<'_>, _: &Iq<'_>) -> Answer {
    let name = compose::escaped(cx.jid().localpart().unwrap_or_default());
    Ok(format!(
        "<query xmlns='{NS}'><registered/>\
         <instructions>Send your name and a new password to change the password.</instructions>\
         <username>{name}</username><password/></query>"
    ))
}

/// What is asked for, off the threads that route: keys are derived, and others may have their turn at the
/// accounts.
fn decide(cx: &mut Cx<'_>, iq: &Iq<'_>) -> Result<Plan, StanzaError> {
    let query = iq.payload.element();
    let plan = if query.child(NS, "remove").is_none() {
        new_password(cx, iq, &query)
    } else if query.elements().count() > 1 {
        Err(StanzaError::BAD_REQUEST) // §3.2: nothing beside it
    } else {
        close(cx)
    };
    let plan = plan.map_err(numbered)?;
    Ok(Box::new(move |snapshot| plan(snapshot).map_err(numbered)))
}

/// §3.3. The other sessions end, and no token outlives it; who asked goes on.
fn new_password(cx: &mut Cx<'_>, iq: &Iq<'_>, query: &Element) -> Result<Plan, StanzaError> {
    let wish = Wish::read(query, &[CHANGE, NS])?.ok_or(StanzaError::BAD_REQUEST)?;
    let own = cx.jid().clone();
    // Some clients give the whole address.
    let name = wish.username.strip_suffix(own.domainpart());
    let name = name.and_then(|name| name.strip_suffix('@'));
    let name = name.unwrap_or(&wish.username);
    let named = xmpp::Jid::from_parts(Some(name), own.domainpart(), None);
    if named.map_err(|_| ANOTHER)? != own {
        return Err(ANOTHER);
    }
    wish.check_password()?;
    let session = cx.state.resource(&iq.passing.from);
    let session = session.map_or(0, |own| own.session.number);
    let server = cx.server.this().ok_or(StanzaError::INTERNAL)?;
    Ok(Box::new(move |_| {
        let name = own.localpart().ok_or(StanzaError::INTERNAL)?;
        let change = AccountChange::OwnPasswordChanged { session };
        let changed = server.change_account(name, change, |snapshot| {
            accounts::passwd(snapshot, name, &wish.password, server.dice())
        });
        changed.map_err(|refusal| refused(&refusal))?;
        info!(account = %own, "has a new password");
        Ok(Read::of(String::new()))
    }))
}

/// §3.2. The result comes first, then the sessions end.
fn close(cx: &mut Cx<'_>) -> Result<Plan, StanzaError> {
    let own = cx.jid().clone();
    let server = cx.server.this().ok_or(StanzaError::INTERNAL)?;
    Ok(Box::new(move |_| {
        let name = own.localpart().ok_or(StanzaError::INTERNAL)?;
        let closed = server.change_account(name, AccountChange::Disabled, |snapshot| {
            accounts::close(snapshot, name, server.now())
        });
        closed.map_err(|refusal| refused(&refusal))?;
        info!(account = %own, "was closed by its owner, and is removed in some days");
        Ok(Read::of(String::new()))
    }))
}

fn refused(refusal: &Refusal) -> StanzaError {
    match refusal {
        Refusal::BadPassword => registration::BAD_PASSWORD,
        Refusal::LastAdministrator => LAST_ADMINISTRATOR,
        refusal => {
            error!(%refusal, "an account is not changed");
            StanzaError::RESOURCE_CONSTRAINT
        }
    }
}
