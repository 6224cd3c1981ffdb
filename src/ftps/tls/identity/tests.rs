//! Key files as they are found in the field. Those in `keys/` were made with OpenSSL 3 for these tests, password `opensesame`.

use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::ftps::tls::provider;

/// A directory with these files, each readable by its owner alone.
fn dir(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    for (name, text) in files {
        std::fs::write(dir.path().join(name), text).expect("written");
        set_mode(&dir.path().join(name), 0o600);
    }
    dir
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("set");
}

fn read(cert: &Path, key: &Path, password: Option<&str>) -> Result<Identity, TlsError> {
    let key_password = password.map(SecretString::from);
    Identity::read(Some(&ClientAuth { cert: cert.to_owned(), key: key.to_owned(), key_password }), &provider())
}

fn read_texts(cert: &str, key: &str, password: Option<&str>) -> Result<Identity, TlsError> {
    let dir = dir(&[("cert.pem", cert), ("key.pem", key)]);
    read(&dir.path().join("cert.pem"), &dir.path().join("key.pem"), password)
}

fn refused(cert: &str, key: &str, password: Option<&str>) -> ClientAuthError {
    match read_texts(cert, key, password) {
        Err(TlsError::Client(error)) => error,
        other => panic!("{other:?}"),
    }
}

const EC: &str = include_str!("keys/ec.cert.pem");
const RSA: &str = include_str!("keys/rsa.cert.pem");
const PKCS8: &str = include_str!("keys/ec.pkcs8.pem");
const AES: &str = include_str!("keys/ec.aes.pem");

#[test]
fn every_form_of_a_key() {
    for (cert, key, password) in [
        (EC, PKCS8, None),
        (EC, include_str!("keys/ec.sec1.pem"), None),
        (RSA, include_str!("keys/rsa.pkcs1.pem"), None),
        (EC, AES, Some("opensesame")),
        (EC, include_str!("keys/ec.des3.pem"), Some("opensesame")),
        (EC, include_str!("keys/ec.scrypt.pem"), Some("opensesame")),
        // A password that is not needed does no harm.
        (EC, PKCS8, Some("opensesame")),
    ] {
        let identity = read_texts(cert, key, password).unwrap_or_else(|error| panic!("{error}: {key}"));
        assert!(identity.has_certs() && !identity.was_asked() && identity.not_after() > Some(4_000_000_000));
        assert!(identity.resolve(&[], &[]).is_some() && identity.was_asked());
    }
}

#[test]
fn one_file_may_hold_both() {
    for (key, password) in [(PKCS8, None), (AES, Some("opensesame"))] {
        for text in [format!("{EC}{key}"), format!("Bag Attributes\n{key}{EC}{RSA}").replace('\n', "\r\n")] {
            let dir = dir(&[("me.pem", &text)]);
            let file = dir.path().join("me.pem");
            let identity = read(&file, &file, password).expect("both");
            assert_eq!(identity.key.map(|key| key.cert.len()), Some(text.matches("BEGIN CERTIFICATE").count()));
        }
    }
}

#[test]
fn what_is_wrong_with_a_key_has_a_name_and_a_remedy() {
    use ClientAuthError as E;
    assert!(matches!(refused(EC, AES, None), E::NeedsPassword(_)));
    assert!(matches!(refused(EC, AES, Some("open")), E::WrongPassword(_)));
    assert!(matches!(refused(EC, include_str!("keys/ec.scrypt.pem"), Some("")), E::WrongPassword(_)));
    for old in [include_str!("keys/ec.legacy.pem"), include_str!("keys/ec.pbes1.pem")] {
        let error = refused(EC, old, Some("opensesame"));
        assert!(matches!(error, E::Legacy(_) | E::Unsupported { .. }), "{error}");
        assert!(error.hint().contains("openssl pkcs8 -topk8"));
    }
    let error = refused(RSA, PKCS8, None);
    assert!(matches!(error, E::Mismatch { .. }), "{error}");
    assert!(error.to_string().contains("key.pem") && error.to_string().contains("cert.pem"), "{error}");
    assert!(matches!(refused(EC, EC, None), E::NoKey { .. }));
    assert!(matches!(refused(EC, "", None), E::NoKey { .. }));
    assert!(matches!(refused(PKCS8, PKCS8, None), E::NoCertificate(_)));
    let cut = &AES[..AES.len() / 2];
    assert!(matches!(refused(EC, cut, Some("opensesame")), E::NoKey { .. }));
    let garbage = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    assert!(matches!(refused(EC, garbage, None), E::BadKey { .. }));
    let garbage = garbage.replace("PRIVATE", "ENCRYPTED PRIVATE");
    assert!(matches!(refused(EC, &garbage, Some("x")), E::Unsupported { .. }));
    let no_x509 = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert!(matches!(refused(no_x509, PKCS8, None), E::BadCertificate { .. }));
}

#[test]
fn others_may_read_an_encrypted_key_alone() {
    let dir = dir(&[("cert.pem", EC), ("clear.key", PKCS8), ("sealed.key", AES)]);
    let at = |name: &str| dir.path().join(name);
    for mode in [0o640, 0o604, 0o660] {
        set_mode(&at("clear.key"), mode);
        set_mode(&at("sealed.key"), mode);
        let error = read(&at("cert.pem"), &at("clear.key"), None).expect_err("exposed").to_string();
        assert!(error.contains(&format!("mode is {mode:04o}")), "{error}");
        read(&at("cert.pem"), &at("sealed.key"), Some("opensesame")).expect("sealed");
    }
    assert!(check_guard(Path::new("k"), 0o100_600, 0, 1000).is_ok(), "root's is as good as ours");
    assert!(matches!(check_guard(Path::new("k"), 0o100_600, 1001, 1000), Err(ClientAuthError::Foreign { uid: 1001, .. })));
}

#[test]
fn what_is_no_file_is_refused_without_waiting() {
    let dir = dir(&[("cert.pem", EC)]);
    let fifo = dir.path().join("fifo");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0).expect("a FIFO");
    for path in [&fifo, dir.path(), Path::new("/does/not/exist.key")] {
        let error = read(&dir.path().join("cert.pem"), path, None).expect_err("no file");
        assert!(matches!(error, TlsError::Client(ClientAuthError::Read { .. })), "{error}");
    }
    let large = tempfile::NamedTempFile::new().expect("a file");
    large.as_file().set_len(2 << 20).expect("long");
    let error = read(&dir.path().join("cert.pem"), large.path(), None).expect_err("too large");
    assert!(error.to_string().contains("larger than 1 MiB"), "{error}");
}

#[test]
fn nothing_of_the_key_or_its_password_is_shown() {
    let auth = ClientAuth { cert: "c".into(), key: "k".into(), key_password: Some("opensesame".into()) };
    assert!(!format!("{auth:?}").contains("opensesame"));
    for error in [refused(EC, AES, Some("hunter2")), refused(EC, &PKCS8[..60], Some("hunter2"))] {
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("hunter2") && !shown.contains(&PKCS8[30..50]), "{shown}");
    }
}
