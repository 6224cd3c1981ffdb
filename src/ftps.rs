//! The FTPS engine (RFC 959, RFC 4217): a sans-IO protocol, and thin drivers over any byte stream.

pub mod proto;
