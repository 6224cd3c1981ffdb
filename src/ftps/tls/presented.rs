//! What a certificate says, in words and figures for people. Whether it is to be believed is for `verify`.

use std::net::{Ipv4Addr, Ipv6Addr};

use rustls::{CertificateError, pki_types::CertificateDer};
use x509_parser::{
    extensions::GeneralName,
    prelude::{X509Certificate, X509Name},
};

use super::{CertificateProblem, Pin, TlsVersion, error::Untrusted};

/// The most names that are shown.
const MAX_NAMES: usize = 100;
/// The longest name, in characters.
const MAX_LENGTH: usize = 256;
/// A warning is due so long before a certificate expires: 30 days, in seconds.
const SOON: i64 = 30 * DAY;
const DAY: i64 = 24 * 60 * 60;

/// The certificate that a server presented, trusted or not. That the server has its key is certain.
#[derive(Clone, Debug)]
pub struct Presented {
    /// Whose it is.
    pub subject: String,
    /// Who signed it.
    pub issuer: String,
    /// The host names and addresses that it is for; at most 100.
    pub names: Vec<String>,
    /// From when on it is valid, in Unix seconds.
    pub not_before: i64,
    /// Until when it is valid, in Unix seconds.
    pub not_after: i64,
    /// The SHA-256 of the certificate.
    pub sha256: [u8; 32],
    /// The SHA-256 of its public key.
    pub pin: Pin,
    /// How many certificates came, its own included.
    pub chain_length: usize,
    /// The version of TLS in which it came.
    pub version: TlsVersion,
    /// What verification by a chain to a root says, whatever the settings want.
    pub verification: Result<(), CertificateProblem>,
}

/// Whose certificate it is that expires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// The server's.
    Server,
    /// The server's, where trust is by pin alone: its dates do not matter to us.
    PinnedServer,
    /// The client's, which the server asks for.
    Client,
}

/// A warning where a certificate that is valid until `not_after` has expired at `now` or will within 30 days; both in Unix
/// seconds.
pub fn expiry_warning(whose: Whose, not_after: i64, now: i64) -> Option<String> {
    let left = not_after.saturating_sub(now);
    let of = if whose == Whose::Client { "client" } else { "server's" };
    let then = match whose {
        Whose::Server => "renew it on the server; nothing is sent to a server whose certificate has expired",
        Whose::PinnedServer => "trust is by pin alone, so nothing stops; other clients may",
        Whose::Client => "renew it and set `tls.client_cert`; the server will refuse it",
    };
    match left {
        i64::MIN..0 => Some(format!("the {of} certificate has expired ({} ago): {then}", days(left))),
        0..=SOON => Some(format!("the {of} certificate expires in {}: {then}", days(left))),
        _ => None,
    }
}

/// Whole days, or less than one.
fn days(seconds: i64) -> String {
    match seconds.unsigned_abs() / DAY.unsigned_abs() {
        0 => "less than a day".to_owned(),
        1 => "1 day".to_owned(),
        n => format!("{n} days"),
    }
}

/// Until when a certificate is valid; `None` when it is no X.509.
pub(super) fn not_after(certificate: &CertificateDer<'_>) -> Option<i64> {
    parse(certificate).map(|parsed| parsed.validity().not_after.timestamp())
}

/// Whether a certificate names itself as its issuer.
pub(super) fn is_self_issued(certificate: &CertificateDer<'_>) -> bool {
    parse(certificate).is_some_and(|parsed| parsed.subject().as_raw() == parsed.issuer().as_raw())
}

/// Whether a certificate is an authority's.
pub(super) fn is_authority(certificate: &CertificateDer<'_>) -> bool {
    parse(certificate).is_some_and(|parsed| parsed.is_ca())
}

/// Whether a certificate may be a server's, by its extended key usage (RFC 5280 §4.2.1.12).
pub(super) fn is_for_servers(certificate: &CertificateDer<'_>) -> bool {
    parse(certificate).is_some_and(|parsed| match parsed.extended_key_usage() {
        Ok(Some(usage)) => usage.value.any || usage.value.server_auth,
        _ => true,
    })
}

/// What a certificate says; the `chain` has it first.
pub(super) fn describe(
    chain: &[CertificateDer<'_>],
    version: TlsVersion,
    verification: Result<(), CertificateProblem>,
) -> Result<Presented, CertificateProblem> {
    let no_x509 = || CertificateProblem { untrusted: Untrusted::Chain(CertificateError::BadEncoding), presented: None };
    let leaf = chain.first().ok_or_else(no_x509)?;
    let parsed = parse(leaf).ok_or_else(no_x509)?;
    Ok(Presented {
        subject: words(&name(parsed.subject())),
        issuer: words(&name(parsed.issuer())),
        names: names(&parsed),
        not_before: parsed.validity().not_before.timestamp(),
        not_after: parsed.validity().not_after.timestamp(),
        sha256: <sha2::Sha256 as sha2::Digest>::digest(leaf).into(),
        pin: Pin::of(leaf).ok_or_else(no_x509)?,
        chain_length: chain.len(),
        version,
        verification,
    })
}

fn parse<'a>(certificate: &'a CertificateDer<'_>) -> Option<X509Certificate<'a>> {
    x509_parser::parse_x509_certificate(certificate).ok().map(|(_, parsed)| parsed)
}

/// A distinguished name, or a word for one that is empty.
fn name(name: &X509Name<'_>) -> String {
    let text = name.to_string();
    if text.is_empty() { "(no name)".to_owned() } else { text }
}

fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else { return Vec::new() };
    let shown = extension.value.general_names.iter().filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(words(name)),
        GeneralName::IPAddress(bytes) => address(bytes),
        _ => None,
    });
    shown.take(MAX_NAMES).collect()
}

fn address(bytes: &[u8]) -> Option<String> {
    if let Ok(four) = <[u8; 4]>::try_from(bytes) {
        return Some(Ipv4Addr::from(four).to_string());
    }
    <[u8; 16]>::try_from(bytes).ok().map(|sixteen| Ipv6Addr::from(sixteen).to_string())
}

/// Text from a stranger, fit for a terminal: short, and without anything that it would obey.
fn words(text: &str) -> String {
    let fit = |c: char| if c.is_control() || is_bidi(c) { char::REPLACEMENT_CHARACTER } else { c };
    text.chars().take(MAX_LENGTH).map(fit).collect()
}

/// Whether it turns the direction of what comes behind it.
fn is_bidi(c: char) -> bool {
    matches!(c, '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn thirty_days_are_soon() {
        let warning = |left| expiry_warning(Whose::Server, 1_000_000_000 + left, 1_000_000_000);
        assert_eq!(warning(SOON + 1), None);
        let said = |left| warning(left).expect("a warning");
        assert!(said(SOON).starts_with("the server's certificate expires in 30 days: renew"), "{}", said(SOON));
        assert!(said(SOON - 1).contains("expires in 29 days"));
        assert!(said(DAY).contains("expires in 1 day:"));
        assert!(said(DAY - 1).contains("expires in less than a day"));
        assert!(said(0).contains("expires in less than a day"), "the last second counts");
        assert!(said(-1).contains("has expired (less than a day ago)"));
        assert!(said(-2 * DAY).contains("has expired (2 days ago)"));
    }

    #[test]
    fn whose_certificate_it_is_decides_what_to_do() {
        let said = |whose| expiry_warning(whose, 0, 1).expect("a warning");
        assert!(said(Whose::Client).starts_with("the client certificate") && said(Whose::Client).contains("tls.client_cert"));
        assert!(said(Whose::PinnedServer).contains("by pin alone"));
    }

    proptest! {
        #[test]
        fn any_dates_will_do(not_after in any::<i64>(), now in any::<i64>()) {
            let warned = expiry_warning(Whose::Server, not_after, now).is_some();
            prop_assert_eq!(warned, i128::from(not_after) - i128::from(now) <= i128::from(SOON));
        }

        #[test]
        fn a_stranger_cannot_speak_to_the_terminal(text in any::<String>()) {
            let shown = words(&text);
            prop_assert!(!shown.chars().any(char::is_control) && shown.chars().count() <= MAX_LENGTH);
        }
    }

    #[test]
    fn a_certificate_in_words() {
        let mut params =
            rcgen::CertificateParams::new(vec!["ftp.test".to_owned(), "192.0.2.7".to_owned(), "2001:db8::7".to_owned()])
                .expect("names");
        params.distinguished_name.push(rcgen::DnType::CommonName, "a\u{1b}[31m\u{202E}b");
        params.not_before = rcgen::date_time_ymd(2001, 9, 9);
        params.not_after = rcgen::date_time_ymd(2033, 5, 18);
        let key = rcgen::KeyPair::generate().expect("a key");
        let der = params.self_signed(&key).expect("a certificate").der().clone();
        let shown = describe(std::slice::from_ref(&der), TlsVersion::V13, Ok(())).expect("X.509");
        assert_eq!(shown.subject, "CN=a\u{FFFD}[31m\u{FFFD}b");
        assert_eq!(shown.names, ["ftp.test", "192.0.2.7", "2001:db8::7"]);
        assert_eq!((shown.not_before, shown.not_after), (999_993_600, 2_000_073_600 - 86_400));
        assert_eq!(Some(shown.pin), Pin::of(&der));
        assert!(is_self_issued(&der) && !is_authority(&der));
        assert_eq!(not_after(&der), Some(shown.not_after));
        assert!(describe(&[CertificateDer::from(vec![1])], TlsVersion::V12, Ok(())).is_err());
    }
}
