//! FTP as values: replies, commands, features, addresses, listings, and the two dialogues (login, transfer) as state
//! machines. No socket, no clock, no runtime.

pub mod address;
pub mod command;
pub mod extra;
pub mod feat;
pub mod listing;
pub mod login;
pub mod reply;
pub mod time;
pub mod transfer;

pub use command::{Argument, ArgumentError, Command, Encoding, Pathname};
pub use extra::Extra;
pub use feat::Features;
pub use listing::{Listed, ListedKind, Listing};
pub use reply::{Reply, ReplyError, ReplyParser};
