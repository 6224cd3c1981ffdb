//! That the server was found to hold a file as it is recorded.

use super::UnixMillis;

/// How that was found out, the weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProofWay {
    /// It has the size that it should have, and the time, where the server keeps one.
    Size,
    /// The server computed its checksum.
    Checksum,
    /// It was read back.
    Reading,
}

/// The last proof of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Proof {
    /// When.
    pub at: UnixMillis,
    /// How.
    pub way: ProofWay,
}

impl ProofWay {
    /// The word by which it is kept; never changes.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Size => "size",
            Self::Checksum => "checksum",
            Self::Reading => "reading",
        }
    }

    /// That of which this is the word.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Size, Self::Checksum, Self::Reading].into_iter().find(|way| way.as_str() == word)
    }
}
