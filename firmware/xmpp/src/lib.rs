//! XMPP as values: bytes in, events out. No input or output, no clock (house rule 1).
//!
//! Reading order is the order of a stanza: [`stream`] → [`stanza`] → [`compose`]; the rest is what they
//! speak of.

pub mod compose;
pub mod datetime;
pub mod element;
pub mod error;
pub mod form;
pub mod framing;
pub mod jid;
pub mod limits;
pub mod ns;
mod prep;
pub mod rsm;
pub mod sasl;
pub mod stanza;
pub mod stream;
pub mod websocket;
pub mod wrapper;
mod xml;

pub use element::Element;
pub use error::{SaslFailure, StanzaError, StreamError};
pub use jid::Jid;
pub use stanza::{Class, Entry, Kind, Passing, Stanza};
