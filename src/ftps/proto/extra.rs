//! Commands that only some servers have. None of them is sent before a probe has shown what becomes of it, but by the probe.

use super::{Pathname, time};

/// One of them. Paths are absolute.
#[derive(Clone, PartialEq, Eq)]
pub enum Extra {
    /// `APPE`.
    Append(Pathname),
    /// `REST`: the next transfer starts behind so many bytes (RFC 3659 §5). It stays armed on some servers and makes a hole
    /// in whatever is stored next: STOR must follow at once, or the connection end.
    Restart(u64),
    /// `MDTM`: the modification time (RFC 3659 §3).
    Modified(Pathname),
    /// `MFF` with the fact `modify` (draft-somers-ftp-mfxx): seconds since the Unix epoch.
    Mff(i64, Pathname),
    /// `PWD`.
    PrintDir,
    /// `OPTS HASH SHA-256` (draft-bryan-ftpext-hash §4).
    ChooseSha256,
    /// `HASH`.
    Hash(Pathname),
    /// `RANG`, from the first to the last byte, for the next HASH; `None` is the whole file again.
    Range(Option<(u64, u64)>),
    /// `XSHA256`, `XMD5` or `XCRC`, of the bytes from a first one up to and without a last one, or of all.
    Digest(Digest, Pathname, Option<(u64, u64)>),
    /// `SITE CPFR`.
    CopyFrom(Pathname),
    /// `SITE CPTO`.
    CopyTo(Pathname),
    /// `SITE CHMOD`; of the mode only the permissions are sent.
    Chmod(u32, Pathname),
    /// `SITE SYMLINK`: to what, and the link. Servers split at spaces.
    Symlink(Pathname, Pathname),
}

/// Which digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Digest {
    /// XSHA256.
    Sha256,
    /// XMD5.
    Md5,
    /// XCRC.
    Crc,
}

impl Extra {
    /// The command without what varies.
    pub(super) fn verb(&self) -> &'static str {
        match self {
            Self::Append(_) => "APPE",
            Self::Restart(_) => "REST",
            Self::Modified(_) => "MDTM",
            Self::Mff(..) => "MFF",
            Self::PrintDir => "PWD",
            Self::ChooseSha256 => "OPTS HASH SHA-256",
            Self::Hash(_) => "HASH",
            Self::Range(_) => "RANG",
            Self::Digest(Digest::Sha256, ..) => "XSHA256",
            Self::Digest(Digest::Md5, ..) => "XMD5",
            Self::Digest(Digest::Crc, ..) => "XCRC",
            Self::CopyFrom(_) => "SITE CPFR",
            Self::CopyTo(_) => "SITE CPTO",
            Self::Chmod(..) => "SITE CHMOD",
            Self::Symlink(..) => "SITE SYMLINK",
        }
    }

    /// Gives what follows the verb to `word`, piece by piece.
    pub(super) fn words(&self, mut word: impl FnMut(&[u8])) {
        match self {
            Self::Append(path) | Self::Modified(path) | Self::Hash(path) | Self::CopyFrom(path) | Self::CopyTo(path) => {
                word(path.as_bytes());
            }
            Self::Restart(at) => word(at.to_string().as_bytes()),
            Self::Mff(at, path) => {
                word(format!("Modify={};", time::format(*at).unwrap_or_else(|| "19700101000000".to_owned())).as_bytes());
                word(path.as_bytes());
            }
            Self::PrintDir | Self::ChooseSha256 => {}
            Self::Range(range) => {
                // A last byte before the first is the whole file (draft-bryan-ftp-range §3).
                let (first, last) = range.unwrap_or((1, 0));
                word(first.to_string().as_bytes());
                word(last.to_string().as_bytes());
            }
            Self::Digest(_, path, range) => {
                // ProFTPD takes the words of a bare path for a range; a path that is one word needs no quotes anywhere.
                if range.is_some() || path.as_bytes().contains(&b' ') {
                    word(&[b"\"", path.as_bytes(), b"\""].concat());
                } else {
                    word(path.as_bytes());
                }
                if let Some((first, end)) = range {
                    word(first.to_string().as_bytes());
                    word(end.to_string().as_bytes());
                }
            }
            Self::Chmod(mode, path) => {
                word(format!("{:o}", mode & 0o7777).as_bytes());
                word(path.as_bytes());
            }
            Self::Symlink(to, link) => {
                word(to.as_bytes());
                word(link.as_bytes());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Command, Encoding},
        *,
    };

    #[test]
    fn encoded_forms() {
        let path = |text: &str| Pathname::new(text).expect("sendable");
        for (command, line) in [
            (Extra::Append(path("/a b")), "APPE /a b"),
            (Extra::Restart(4), "REST 4"),
            (Extra::Modified(path("/x")), "MDTM /x"),
            (Extra::Mff(0, path("/x")), "MFF Modify=19700101000000; /x"),
            (Extra::PrintDir, "PWD"),
            (Extra::ChooseSha256, "OPTS HASH SHA-256"),
            (Extra::Hash(path("/x")), "HASH /x"),
            (Extra::Range(Some((0, 7))), "RANG 0 7"),
            (Extra::Range(None), "RANG 1 0"),
            (Extra::Digest(Digest::Sha256, path("/a"), None), "XSHA256 /a"),
            (Extra::Digest(Digest::Sha256, path("/a b"), None), "XSHA256 \"/a b\""),
            (Extra::Digest(Digest::Md5, path("/a b"), Some((0, 8))), "XMD5 \"/a b\" 0 8"),
            (Extra::Digest(Digest::Crc, path("/x"), None), "XCRC /x"),
            (Extra::CopyFrom(path("/x")), "SITE CPFR /x"),
            (Extra::CopyTo(path("/y")), "SITE CPTO /y"),
            (Extra::Chmod(0o100_640, path("/x")), "SITE CHMOD 640 /x"),
            (Extra::Symlink(path("/x"), path("/l")), "SITE SYMLINK /x /l"),
        ] {
            let command = Command::Extra(command);
            assert_eq!(&**command.encode(Encoding::default()), format!("{line}\r\n").as_bytes());
            assert!(line.starts_with(command.verb()));
        }
    }
}
