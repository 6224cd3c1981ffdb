//! The directory that a probe works in, and the names that it makes there. Nothing else on the server is ever touched.

use crate::ftps::proto::{ArgumentError, Pathname};

/// The directory, below the mirror's. The name is always the same, so that a probe that died is cleared by the next one.
pub(super) const DIR: &str = ".towline-probe";
/// Part of every name in it, so that also a name that the server changed is known again.
const MARK: &[u8] = b"tl-probe";

/// A file of [`BODY`].
pub(super) const FILE: &[u8] = b"tl-probe-file";
/// A name that is never made.
pub(super) const MISSING: &[u8] = b"tl-probe-missing";
/// What is renamed over.
pub(super) const TO: &[u8] = b"tl-probe-to";
pub(super) const LINK: &[u8] = b"tl-probe-link";
pub(super) const COPY: &[u8] = b"tl-probe-copy";
pub(super) const APPENDED: &[u8] = b"tl-probe-append";
pub(super) const RESTARTED: &[u8] = b"tl-probe-restart";
/// Uploads with questions behind them.
pub(super) const BEHIND: [&[u8]; 2] = [b"tl-probe-behind-1", b"tl-probe-behind-2"];
/// Begins with a dot.
pub(super) const DOT: &[u8] = b".tl-probe-dot";
pub(super) const UPPER: &[u8] = b"tl-probe-CASE";
pub(super) const LOWER: &[u8] = b"tl-probe-case";
/// Sent with its 0xFF doubled.
pub(super) const DOUBLED: &[u8] = b"tl-probe-d\xffd";

/// What is in the file. Digests of it, and of its first [`PART`] bytes, are known.
pub(super) const BODY: &[u8] = b"towline probe 1\n";
pub(super) const PART: u64 = 8;
/// Another, shorter one.
pub(super) const SHORT: &[u8] = b"abcd";

/// Where a probe works.
#[derive(Clone, Debug)]
pub(super) struct Scratch {
    dir: Pathname,
}

impl Scratch {
    /// In the directory `base`, which is absolute.
    pub(super) fn below(base: &[u8]) -> Result<Self, ArgumentError> {
        let base = base.strip_suffix(b"/").unwrap_or(base);
        let scratch = Self { dir: Pathname::new([base, b"/", DIR.as_bytes()].concat())? };
        // Too long for the longest name: told before anything is made.
        scratch.at(&long())?;
        Ok(scratch)
    }

    /// The directory itself.
    pub(super) fn dir(&self) -> &Pathname {
        &self.dir
    }

    /// A name in it.
    pub(super) fn at(&self, name: &[u8]) -> Result<Pathname, ArgumentError> {
        Pathname::new([self.dir.as_bytes(), b"/", name].concat())
    }

    /// A number for it, to be told from others by.
    pub(super) fn number(&self) -> u64 {
        let mut first = [0; 8];
        first.copy_from_slice(&blake3::hash(self.dir.as_bytes()).as_bytes()[..8]);
        u64::from_le_bytes(first)
    }

    /// Whether its path has one of these bytes.
    pub(super) fn has(&self, bytes: &[u8]) -> bool {
        self.dir.as_bytes().iter().any(|b| bytes.contains(b))
    }
}

/// A name of 255 bytes.
pub(super) fn long() -> Vec<u8> {
    let mut name = b"tl-probe-long-".to_vec();
    name.resize(255, b'x');
    name
}

/// Whether a name in the directory was made by a probe, even if the server changed it.
pub(super) fn is_ours(name: &[u8]) -> bool {
    name.windows(MARK.len()).any(|part| part.eq_ignore_ascii_case(MARK))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn below_any_directory() {
        for (base, file) in [(&b"/"[..], "/.towline-probe/tl-probe-file"), (b"/a b", "/a b/.towline-probe/tl-probe-file")] {
            let scratch = Scratch::below(base).expect("sendable");
            assert_eq!(scratch.at(FILE).expect("sendable").as_bytes(), file.as_bytes());
        }
        assert!(Scratch::below(&[b'/'; 8_000]).is_err(), "no room for the longest name");
    }

    #[test]
    fn own_names_are_known_again() {
        for name in [FILE, MISSING, DOT, UPPER, LOWER, DOUBLED, &long(), b"_tl-probe-lead", b"TL-PROBE~1"] {
            assert!(is_ours(name), "{}", name.escape_ascii());
        }
        for name in [&b"letter"[..], b"tl-prob", b""] {
            assert!(!is_ours(name));
        }
        assert_eq!(long().len(), 255);
    }
}
