//! What is said of a certificate, for each way to trust.

use std::path::PathBuf;

use towline::{
    config::Config,
    ftps::{Pin, tls::Untrusted},
};

use super::*;

fn remote(tls: &str) -> config::Remote {
    let text = format!("[remote.web]\nhost = \"h\"\nuser = \"u\"\npassword = {{ env = \"P\" }}\n[remote.web.tls]\n{tls}");
    let origin = config::Origin::new(&PathBuf::from("/etc/t.toml"), None);
    Config::parse(&text, &origin).unwrap().remotes.remove("web").unwrap()
}

fn presented(key: u8, untrusted: Option<Untrusted>) -> Presented {
    let pin = Pin::from([key; 32]);
    Presented {
        subject: "CN=h".into(),
        issuer: "CN=i".into(),
        names: vec!["h".into()],
        not_before: 0,
        not_after: 1_000_000_000,
        sha256: [0xAB; 32],
        pin,
        chain_length: 1,
        version: TlsVersion::V13,
        verification: untrusted.map_or(Ok(()), |untrusted| Err(CertificateProblem { untrusted, presented: Some(pin) })),
    }
}

const SEVEN: &str = "pin = [\"sha256/BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=\"]\n";

#[test]
fn what_the_configuration_trusts() {
    let pinned_alone = format!("{SEVEN}trust = \"pin\"\n");
    for (tls, key, untrusted, trusted, next) in [
        ("", 7, None, true, "nothing to do"),
        ("", 7, Some(Untrusted::SelfSigned), false, "`towline trust web --pin`"),
        (SEVEN, 7, None, true, "nothing to do"),
        (SEVEN, 8, None, false, "none of those that are pinned"),
        (SEVEN, 8, Some(Untrusted::SelfSigned), false, "somebody is in between"),
        (SEVEN, 7, Some(Untrusted::SelfSigned), false, "the chain has to verify as well"),
        (&pinned_alone, 7, Some(Untrusted::SelfSigned), true, "nothing to do"),
        (&pinned_alone, 8, None, false, "with --replace"),
    ] {
        let report = Report::new(&remote(tls), &presented(key, untrusted), 0);
        assert_eq!((report.trusted, report.pinned), (trusted, key == 7 && !tls.is_empty()), "{tls} {key}");
        assert!(report.next.contains(next), "{}", report.next);
    }
}

#[test]
fn days_are_counted_down() {
    let left = |now| Report::new(&remote(""), &presented(1, None), now).days_left;
    assert_eq!([left(1_000_000_000 - 86_400), left(999_999_999), left(1_000_000_000), left(1_000_000_001)], [1, 0, 0, -1]);
    assert_eq!(date(1_000_000_000), "2001-09-09");
    assert_eq!(date(i64::MAX), format!("second {}", i64::MAX));
}
