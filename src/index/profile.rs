//! [`Profiles`]: what was learnt about servers, in a file of its own, because several mirrors may use one server.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension};
use serde::{Serialize, de::DeserializeOwned};

use super::{IndexError, aside, connect};
use crate::model::UnixMillis;

const SCHEMA: [&str; 1] = [include_str!("schema/remotes/0001.sql")];

/// The learnt properties of servers, by endpoint. All of it can be learnt again.
#[derive(Debug)]
pub struct Profiles {
    db: Connection,
}

impl Profiles {
    /// Opens `file` and makes it if missing.
    ///
    /// # Errors
    /// As for [`super::Index::open`].
    pub fn open(file: &Path) -> Result<Self, IndexError> {
        Ok(Self { db: connect::read_write(file, &SCHEMA)? })
    }

    /// As [`super::Index::open_anew`].
    ///
    /// # Errors
    /// As there.
    pub fn open_anew(file: &Path, now: UnixMillis) -> Result<(Self, Option<PathBuf>), IndexError> {
        match Self::open(file) {
            Err(IndexError::Corrupt(_)) => {
                let aside = aside::move_aside(file, now)?;
                Self::open(file).map(|profiles| (profiles, aside))
            }
            opened => opened.map(|profiles| (profiles, None)),
        }
    }

    /// What was learnt about `endpoint`. Nothing, if that was written in a form that is not understood (any more).
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn load<T: DeserializeOwned>(&self, endpoint: &str) -> Result<Option<T>, IndexError> {
        let json: Option<String> =
            self.db.prepare_cached(include_str!("sql/profile_get.sql"))?.query_row([endpoint], |row| row.get(0)).optional()?;
        Ok(json.and_then(|json| serde_json::from_str(&json).ok()))
    }

    /// Keeps what was learnt about `endpoint`, in place of what was known before.
    ///
    /// # Errors
    /// When the file cannot be written, or `learnt` not as JSON.
    pub fn save<T: Serialize>(&mut self, endpoint: &str, learnt: &T, now: UnixMillis) -> Result<(), IndexError> {
        let json = serde_json::to_string(learnt).map_err(IndexError::Unwritable)?;
        self.db.prepare_cached(include_str!("sql/profile_set.sql"))?.execute((endpoint, json, now.0))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_learnt_outlives_the_process_and_a_change_of_its_form() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("remotes.db");
        let mut profiles = Profiles::open(&file).unwrap();
        assert_eq!(profiles.load::<u32>("a:21").unwrap(), None);
        profiles.save("a:21", &1, UnixMillis(1)).unwrap();
        profiles.save("a:21", &2, UnixMillis(2)).unwrap();
        profiles.save("b:21", &"words", UnixMillis(2)).unwrap();
        drop(profiles);
        let profiles = Profiles::open(&file).unwrap();
        assert_eq!(profiles.load::<u32>("a:21").unwrap(), Some(2));
        assert_eq!(profiles.load::<u32>("b:21").unwrap(), None);
    }
}
