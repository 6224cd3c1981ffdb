//! Which files a list of patterns means, where it is not about what is left out.

use std::{ffi::OsStr, os::unix::ffi::OsStrExt};

use ignore::gitignore::Gitignore;

use super::rules::{RulesError, combined};
use crate::model::RelPath;

/// Patterns in gitignore syntax, for paths relative to a mirror's root.
#[derive(Clone, Debug)]
pub struct Patterns(Gitignore);

impl Patterns {
    /// Those of these lines.
    ///
    /// # Errors
    /// When one is not valid.
    pub fn new(lines: &[String]) -> Result<Self, RulesError> {
        combined(lines).map(Self)
    }

    /// Whether the file `path` is meant, by itself or by a directory above it.
    pub fn has(&self, path: &RelPath) -> bool {
        self.0.matched_path_or_any_parents(OsStr::from_bytes(path.as_bytes()), false).is_ignore()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_meant_as_in_an_ignore_file() {
        let lines = ["*.log", "!quiet.log", "/var/journal/"].map(str::to_owned);
        let patterns = Patterns::new(&lines).unwrap();
        let has = |path: &str| patterns.has(&RelPath::new(path).unwrap());
        assert!(has("a.log") && has("deep/er/a.log") && has("var/journal/anything"));
        assert!(!has("a.logs") && !has("quiet.log") && !has("other/var/journal/x"));
        assert!(Patterns::new(&["[z-a]".to_owned()]).is_err());
        assert!(!Patterns::new(&[]).unwrap().has(&RelPath::new("a").unwrap()));
    }
}
