//! What can be wrong with a configuration, told with its position and without the text that is there.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// How many faults are spelt out; the rest are counted.
const SHOWN: usize = 20;

/// Why there is no [`Config`](super::Config).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// There is no file where one is looked for.
    #[error("no configuration file; looked for {}", Paths(looked))]
    NotFound {
        /// Where it was looked for, in order.
        looked: Vec<PathBuf>,
    },
    /// A file or the drop-in directory could not be read.
    #[error("cannot read {}: {source}", file.display())]
    Read {
        /// Which.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is larger than any configuration.
    #[error("{} is larger than {limit} bytes; that is no configuration file", file.display())]
    TooLarge {
        /// Which.
        file: PathBuf,
        /// What is accepted.
        limit: u64,
    },
    /// There are more drop-ins than anybody wrote.
    #[error("{} holds more than {limit} drop-ins", dir.display())]
    TooMany {
        /// The drop-in directory.
        dir: PathBuf,
        /// What is accepted.
        limit: usize,
    },
    /// What is written there cannot be.
    #[error("{}", Faults(faults))]
    Invalid {
        /// All that was found, in the order of the files; at least one.
        faults: Vec<Fault>,
    },
}

/// One thing that is wrong, and where. Holds no text of the file but names that are near to a right one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Which file, or `$NAME`: an environment variable.
    pub file: Arc<Path>,
    /// The line, from 1; 0 in a variable.
    pub line: usize,
    /// The column in characters, from 1; 0 in a variable.
    pub column: usize,
    /// What is wrong and what was expected.
    pub message: String,
    /// What to do, where the message does not say.
    pub hint: Option<&'static str>,
}

/// A position in a file.
#[derive(Clone, Debug)]
pub(super) struct Place {
    file: Arc<Path>,
    line: usize,
    column: usize,
}

impl ConfigError {
    /// What the operator can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NotFound { .. } => {
                Some("`towline init` writes one, and config/towline.example.toml shows every key; or name it with --config FILE")
            }
            Self::Read { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                Some("give the user that runs towline read permission")
            }
            Self::Invalid { faults } => faults.iter().find_map(|fault| fault.hint),
            Self::Read { .. } | Self::TooLarge { .. } | Self::TooMany { .. } => None,
        }
    }
}

impl Fault {
    pub(super) fn new(at: &Place, message: impl Into<String>) -> Self {
        Self { file: at.file.clone(), line: at.line, column: at.column, message: message.into(), hint: None }
    }

    #[must_use]
    pub(super) fn with_hint(mut self, hint: &'static str) -> Self {
        self.hint = Some(hint);
        self
    }
}

impl Place {
    /// An environment variable, which has no lines.
    pub(super) fn variable(name: &str) -> Self {
        Self { file: Path::new(&format!("${name}")).into(), line: 0, column: 0 }
    }

    /// The place of the byte at `offset` of `text`; the end if it lies behind.
    pub(super) fn new(file: &Arc<Path>, text: &[u8], offset: usize) -> Self {
        let before = &text[..offset.min(text.len())];
        let line_start = before.iter().rposition(|b| *b == b'\n').map_or(0, |newline| newline + 1);
        // Continuation bytes of UTF-8 do not start a character.
        let column = before[line_start..].iter().filter(|b| **b & 0xC0 != 0x80).count() + 1;
        let line = before.iter().filter(|b| **b == b'\n').count() + 1;
        Self { file: file.clone(), line, column }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = Place { file: self.file.clone(), line: self.line, column: self.column };
        write!(f, "{at}: {}", self.message)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}", self.file.display()),
            line => write!(f, "{}:{line}:{}", self.file.display(), self.column),
        }
    }
}

/// Paths in a sentence.
struct Paths<'a>(&'a [PathBuf]);

impl fmt::Display for Paths<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, path) in self.0.iter().enumerate() {
            write!(f, "{}{}", if i == 0 { "" } else { ", " }, path.display())?;
        }
        Ok(())
    }
}

/// A line for each.
struct Faults<'a>(&'a [Fault]);

impl fmt::Display for Faults<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, fault) in self.0.iter().take(SHOWN).enumerate() {
            write!(f, "{}{fault}", if i == 0 { "" } else { "\n" })?;
        }
        match self.0.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, "\nand {more} more"),
        }
    }
}
