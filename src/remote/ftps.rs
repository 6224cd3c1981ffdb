//! [`super::Remote`] over FTPS.
