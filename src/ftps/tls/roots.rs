//! Certificates in files: roots beside the system's, and chains. Not what they are worth.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, Read as _},
    path::Path,
};

use rustls::pki_types::{CertificateDer, pem::PemObject};

use super::TlsError;

/// The largest file that is read, in bytes: a bundle of all public roots has some 220 KiB.
const MAX_FILE: u64 = 4 << 20;
/// The most entries of a directory.
const MAX_ENTRIES: usize = 10_000;
/// What starts a certificate in PEM (RFC 7468 §5).
const BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";

/// The certificates in a PEM file, or in all files of a directory that hold some: one that OpenSSL hashed may have links,
/// revocation lists and notes besides.
///
/// # Errors
/// When something is unreadable or broken, or there is no certificate at all.
pub(super) fn read_ca(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let failed = |source| TlsError::Ca { path: path.to_owned(), source };
    let mut all = BTreeSet::new();
    if path.is_dir() {
        for (n, entry) in fs::read_dir(path).map_err(failed)?.enumerate() {
            if n == MAX_ENTRIES {
                return Err(failed(io::Error::new(io::ErrorKind::InvalidData, "it has more than 10000 entries")));
            }
            let file = entry.map_err(failed)?.path();
            // A link that leads nowhere, a directory or a FIFO holds no certificate.
            if file.is_file() {
                all.extend(read_pem(&file)?.into_iter().map(|one| one.to_vec()));
            }
        }
    } else {
        all.extend(read_pem(path)?.into_iter().map(|one| one.to_vec()));
    }
    if all.is_empty() { Err(TlsError::EmptyCa(path.to_owned())) } else { Ok(all.into_iter().map(CertificateDer::from).collect()) }
}

/// The certificates in a file, in their order; none where it holds none.
pub(super) fn read_pem(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = read_file(path).map_err(|source| TlsError::Ca { path: path.to_owned(), source })?;
    certificates(&text).map_err(|source| TlsError::Pem { path: path.to_owned(), source })
}

/// The certificates in the text of a PEM file.
pub(super) fn certificates(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, rustls::pki_types::pem::Error> {
    if !text.windows(BEGIN.len()).any(|window| window == BEGIN) {
        return Ok(Vec::new());
    }
    CertificateDer::pem_slice_iter(text).collect()
}

fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    File::open(path)?.take(MAX_FILE + 1).read_to_end(&mut text)?;
    if text.len() as u64 > MAX_FILE {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than 4 MiB"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn pem(name: &str) -> String {
        rcgen::generate_simple_self_signed([name.to_owned()]).expect("a certificate").cert.pem()
    }

    #[test]
    fn a_file_without_certificates_is_refused() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        assert!(matches!(read_ca(file.path()), Err(TlsError::EmptyCa(_))));
    }

    #[test]
    fn a_directory_may_hold_other_things() {
        let dir = tempfile::tempdir().expect("a directory");
        let at = |name: &str| dir.path().join(name);
        fs::create_dir(at("below")).expect("made");
        fs::write(at("README"), "see -----BEGIN and -----END").expect("written");
        fs::write(at("binary.der"), [0x30, 0x82, 0, 0xFF]).expect("written");
        fs::write(at("0a1b2c3d.r0"), "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n").expect("written");
        assert!(matches!(read_ca(dir.path()), Err(TlsError::EmptyCa(_))));
        fs::write(at("one.pem"), pem("one")).expect("written");
        fs::write(at("two.pem"), format!("two and three:\n{}{}", pem("two"), pem("three"))).expect("written");
        // As `openssl rehash` makes them.
        symlink("one.pem", at("0a1b2c3d.0")).expect("linked");
        symlink("gone.pem", at("ffffffff.0")).expect("linked");
        assert_eq!(read_ca(dir.path()).expect("certificates").len(), 3, "each once");
        fs::write(at("broken.pem"), "-----BEGIN CERTIFICATE-----\nA\u{0}A\n-----END CERTIFICATE-----\n").expect("written");
        let error = read_ca(dir.path()).expect_err("broken");
        assert!(matches!(error, TlsError::Pem { .. }) && error.to_string().contains("broken.pem"), "{error}");
    }

    #[test]
    fn what_is_too_large_is_refused() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        file.as_file().set_len(MAX_FILE + 1).expect("long");
        let error = read_ca(file.path()).expect_err("too large");
        assert!(error.to_string().contains("larger than 4 MiB"), "{error}");
        assert!(matches!(read_ca(Path::new("/does/not/exist.pem")), Err(TlsError::Ca { .. })));
    }
}
