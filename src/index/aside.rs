//! Files that are kept out of the way: a damaged state, and the state as it was before it was brought up to date. Nothing
//! here is ever read again by this program.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use rusqlite::Connection;

use super::{IndexError, reader};
use crate::model::UnixMillis;

/// What SQLite keeps beside a file.
const BESIDE: [&str; 2] = ["-wal", "-shm"];

/// Moves `file` and what is beside it to a name with the date `now`. Where to; nothing when there is no such file.
///
/// The file goes first: what is left beside one that is not there is thrown away by SQLite, while a file without its log
/// would be an older state that looks sound.
pub(super) fn move_aside(file: &Path, now: UnixMillis) -> Result<Option<PathBuf>, IndexError> {
    let aside = free_name(file, now);
    for beside in [""].iter().chain(&BESIDE) {
        let (from, to) = (with(file, beside), with(&aside, beside));
        match fs::rename(&from, to) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::NotFound && beside.is_empty() => return Ok(None),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(IndexError::Open { path: from, source }),
        }
    }
    Ok(Some(aside))
}

/// Writes a copy of `db`, which is `file` and has the schema `version`, beside it. An earlier one is replaced: it was not
/// used, or this would have another version.
pub(super) fn back_up(db: &Connection, file: &Path, version: i64) -> Result<(), IndexError> {
    let (half, whole) = (with(file, ".copy"), with(file, &format!(".schema-{version}")));
    let failed = |path: &Path, source| IndexError::Open { path: path.to_owned(), source };
    match fs::remove_file(&half) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(failed(&half, e)),
        _ => {}
    }
    let copied = reader::copy(db, &half).and_then(|()| fs::rename(&half, &whole).map_err(|e| failed(&whole, e)));
    if copied.is_err() {
        // Half a copy is of no use, and takes room.
        let _ = fs::remove_file(&half);
    }
    copied
}

/// `file` with its date, and a number where that is taken.
fn free_name(file: &Path, now: UnixMillis) -> PathBuf {
    let date = jiff::Timestamp::from_millisecond(now.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let first = with(file, &format!(".damaged-{}", date.strftime("%Y%m%dT%H%M%SZ")));
    let numbered = (2_u32..).map(|n| with(&first, &format!(".{n}")));
    std::iter::once(first.clone()).chain(numbered).find(|name| !name.exists()).unwrap_or_else(|| first.clone())
}

fn with(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_moved_aside_keeps_what_is_beside_it_and_takes_no_others_name() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("site.db");
        let now = UnixMillis(1_763_863_200_000);
        assert_eq!(move_aside(&file, now).unwrap(), None);
        for round in ["", ".2", ".3"] {
            for beside in ["", "-wal", "-shm"] {
                fs::write(with(&file, beside), format!("{round}{beside}")).unwrap();
            }
            let aside = move_aside(&file, now).unwrap().unwrap();
            assert_eq!(aside, with(&file, &format!(".damaged-20251123T020000Z{round}")));
            assert_eq!(fs::read_to_string(with(&aside, "-wal")).unwrap(), format!("{round}-wal"));
            assert!(!file.exists() && !with(&file, "-wal").exists());
        }
    }
}
