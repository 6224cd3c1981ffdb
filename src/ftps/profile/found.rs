//! The parts of a profile that a probe finds.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::or_unknown;
use crate::{
    ftps::proto::{extra::Digest, listing::Way},
    model::UnixMillis,
};

/// A probe that took place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Probed {
    /// When it began.
    pub at: UnixMillis,
    /// What the server said of itself then; another value is another server, or another version of it.
    pub fingerprint: u64,
    /// How it went.
    pub verdict: Verdict,
}

/// How a probe went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Every step was taken.
    Complete,
    /// Every step that uploads need; the others are for when there is nothing to upload.
    Begun,
    /// It took too long, or lost too many connections; the rest is not known.
    CutShort,
    /// The scratch directory could not be made, or no file be stored in it: the account may not write there.
    NoDirectory,
}

/// What REST and STOR leave of a file that was longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tail {
    /// What lies behind the part that was written.
    Keeps,
    /// Nothing behind it.
    Truncates,
    /// There is no such way to write.
    Refused,
}

/// What a digest is computed of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hashing {
    /// Nothing: the command is unknown, or what it says is wrong.
    Never,
    /// Whole files.
    Whole,
    /// Whole files and parts: from a first byte up to, and without, a last one.
    Ranges,
}

/// The commands for digests; each was compared with a digest that was known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct Hashes {
    /// HASH with SHA-256 (draft-bryan-ftpext-hash); parts by RANG.
    #[serde(deserialize_with = "or_unknown")]
    pub hash: Option<Hashing>,
    /// XSHA256.
    #[serde(deserialize_with = "or_unknown")]
    pub xsha256: Option<Hashing>,
    /// XMD5.
    #[serde(deserialize_with = "or_unknown")]
    pub xmd5: Option<Hashing>,
    /// XCRC: CRC-32.
    #[serde(deserialize_with = "or_unknown")]
    pub xcrc: Option<Hashing>,
}

impl Hashes {
    /// What is known of one of the X commands.
    pub(in crate::ftps) fn of(&self, digest: Digest) -> &Option<Hashing> {
        match digest {
            Digest::Sha256 => &self.xsha256,
            Digest::Md5 => &self.xmd5,
            Digest::Crc => &self.xcrc,
        }
    }

    pub(in crate::ftps) fn of_mut(&mut self, digest: Digest) -> &mut Option<Hashing> {
        match digest {
            Digest::Sha256 => &mut self.xsha256,
            Digest::Md5 => &mut self.xmd5,
            Digest::Crc => &mut self.xcrc,
        }
    }

    /// The commands by name, the best proof first.
    pub fn by_name(&self) -> [(&'static str, Option<Hashing>); 4] {
        [("XSHA256", self.xsha256), ("HASH", self.hash), ("XMD5", self.xmd5), ("XCRC", self.xcrc)]
    }
}

/// Which listings show names that begin with a dot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct Dotfiles {
    /// MLSD.
    pub mlsd: Option<bool>,
    /// LIST.
    pub list: Option<bool>,
    /// LIST -a.
    pub list_all: Option<bool>,
    /// STAT -a, on the control connection.
    pub stat_all: Option<bool>,
}

impl Dotfiles {
    /// Whether this way to list shows them; `None` if only the listing itself can tell.
    pub fn by(&self, way: Way) -> Option<bool> {
        match way {
            // The names come from the directory, not from `ls`: ProFTPD, Pure-FTPd and pyftpdlib show them.
            Way::Facts => self.mlsd.or(Some(true)),
            Way::ListAll => self.list_all,
            Way::StatAll => self.stat_all,
            Way::List => self.list,
        }
    }
}

/// Which names arrive byte for byte. A name that does not is refused, or stored as another one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct Names {
    /// UTF-8.
    pub utf8: Option<bool>,
    /// Bytes that are no UTF-8.
    pub bytes: Option<bool>,
    /// A space in front.
    pub leading_space: Option<bool>,
    /// A space at the end.
    pub trailing_space: Option<bool>,
    /// Control characters (tab, escape).
    pub controls: Option<bool>,
    /// A backslash.
    pub backslash: Option<bool>,
    /// 255 bytes.
    pub long: Option<bool>,
    /// 0xFF as it is.
    pub ff_raw: Option<bool>,
    /// 0xFF sent twice arrives once, as telnet has it.
    pub ff_doubled: Option<bool>,
}

impl Names {
    /// Whether spaces in front and at the end survive.
    pub fn spaces(&self) -> Option<bool> {
        match (self.leading_space, self.trailing_space) {
            (Some(leading), Some(trailing)) => Some(leading && trailing),
            (Some(false), _) | (_, Some(false)) => Some(false),
            _ => None,
        }
    }
}

/// The steps of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// SIZE.
    Size,
    /// The ways to set a time.
    Times,
    /// A rename onto an existing file.
    Rename,
    /// APPE.
    Append,
    /// REST and STOR.
    Restart,
    /// SITE CHMOD.
    Chmod,
    /// SITE SYMLINK.
    Symlink,
    /// SITE CPFR, SITE CPTO.
    Copy,
    /// Names that differ in case.
    Case,
    /// Odd names.
    Names,
    /// Listings and names with a dot.
    Dotfiles,
    /// Digests of whole files.
    Hashes,
    /// Digests of parts.
    Ranges,
    /// Several commands in one flight.
    Flight,
    /// Commands right behind the last byte of an upload.
    Behind,
}

impl Step {
    /// All: flights early, since what follows goes in them; else the harmless ones first, and last the one that takes the file away.
    pub const ALL: [Self; 15] = [
        Self::Size,
        Self::Flight,
        Self::Times,
        Self::Append,
        Self::Restart,
        Self::Chmod,
        Self::Symlink,
        Self::Copy,
        Self::Case,
        Self::Names,
        Self::Dotfiles,
        Self::Hashes,
        Self::Ranges,
        Self::Behind,
        Self::Rename,
    ];
}

/// Steps that cost the connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lost(u32);

impl Lost {
    /// Adds one.
    pub fn add(&mut self, step: Step) {
        self.0 |= 1 << step as u32;
    }

    /// Whether it is one of them.
    pub fn has(self, step: Step) -> bool {
        self.0 & (1 << step as u32) != 0
    }

    /// Those that are, in order.
    pub fn steps(self) -> impl Iterator<Item = Step> {
        Step::ALL.into_iter().filter(move |step| self.has(*step))
    }
}

impl Serialize for Lost {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.steps())
    }
}

impl<'de> Deserialize<'de> for Lost {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut lost = Self::default();
        for name in Vec::<serde_json::Value>::deserialize(deserializer)? {
            // The name of a step that a later program has.
            if let Ok(step) = serde_json::from_value(name) {
                lost.add(step);
            }
        }
        Ok(lost)
    }
}
