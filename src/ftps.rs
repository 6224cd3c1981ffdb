//! The FTPS engine (RFC 959, RFC 4217): a sans-IO protocol, and thin drivers over any byte stream. It knows nothing of
//! mirrors, indexes or jobs.

pub mod client;
pub mod control;
mod data;
pub mod dial;
mod endpoint;
pub mod error;
mod policy;
pub mod profile;
pub mod proto;
#[cfg(test)]
pub(crate) mod testing;
pub mod tls;

pub use client::{Client, Found};
pub use control::Timeouts;
pub use dial::{Dial, Dialed, Target, TcpDial};
pub use endpoint::{Endpoint, OnLearn};
pub use error::{Error, Wait};
pub use profile::{Passive, Profile, SetTime, Tls13};
pub use proto::login::{AccountError, Credentials};
pub use tls::{Pin, Stats, TlsError, TlsSettings, TlsVersion, Trust};
