//! The FTPS engine (RFC 959, RFC 4217): a sans-IO protocol, and thin drivers over any byte stream. It knows nothing of
//! mirrors, indexes or jobs.

pub mod client;
pub mod control;
mod data;
pub mod dial;
pub mod doctor;
mod endpoint;
pub mod error;
mod heard;
mod inspect;
mod mode;
mod policy;
mod probe;
pub mod profile;
pub mod proto;
#[cfg(test)]
pub(crate) mod testing;
mod throttle;
pub mod tls;

pub use client::{Change, Client, Concluded, Dated, Found, Stored, Wanted};
pub use control::Timeouts;
pub use dial::{
    Dial, Dialed, Listen, Target, TcpDial,
    proxy::{Proxy, ProxyError, ProxyFailure, ProxyKind},
};
pub use endpoint::{Endpoint, OnLearn};
pub use error::{Error, Wait};
pub use mode::{Active, DataMode};
pub use profile::{Passive, Probed, Profile, SetTime, Tail, Tls13, Verdict};
pub use proto::login::{AccountError, Credentials, Mode};
pub use throttle::Throttle;
pub use tls::{
    CertificateProblem, ClientAuth, Pin, Presented, Stats, TlsError, TlsSettings, TlsVersion, Trust, Whose, expiry_warning,
};
