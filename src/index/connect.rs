//! Opening a SQLite file the way every state file here is opened, and bringing its schema up to date.

use std::{path::Path, time::Duration};

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::{
    IndexError, aside,
    lock::{make_dir, private_file},
};

/// How long a writer waits for another one (a second connection, a backup) before it gives up.
const BUSY: Duration = Duration::from_secs(10);

/// Opens `file` for writing, makes it (mode 0600, its directory 0700) if missing, and runs the `scripts` that it has not
/// seen: the first script makes schema 1 of an empty file, and so on.
pub(super) fn read_write(file: &Path, scripts: &[&str]) -> Result<Connection, IndexError> {
    if let Some(dir) = file.parent().filter(|dir| !dir.as_os_str().is_empty()) {
        make_dir(dir)?;
    }
    drop(private_file(file)?);
    let mut db = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    db.busy_timeout(BUSY)?;
    check(&db, scripts)?;
    db.execute_batch(include_str!("sql/pragmas.sql"))?;
    db.set_prepared_statement_cache_capacity(64);
    migrate(&mut db, file, scripts)?;
    Ok(db)
}

/// Opens `file`, which must exist and have the latest schema, for reading alone.
pub(super) fn read_only(file: &Path, scripts: &[&str]) -> Result<Connection, IndexError> {
    let db = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    db.busy_timeout(BUSY)?;
    let (found, known) = (version(check(&db, scripts)?), version(scripts.len()));
    if found < known { Err(IndexError::Older { found, known }) } else { Ok(db) }
}

/// The schema of the file, if this program knows it; comes before anything is written.
fn check(db: &Connection, scripts: &[&str]) -> Result<usize, IndexError> {
    let found: i64 = db.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    match usize::try_from(found) {
        Ok(version) if version <= scripts.len() => Ok(version),
        _ => Err(IndexError::Newer { found, known: version(scripts.len()) }),
    }
}

/// In one transaction, after a copy was made of what there is.
fn migrate(db: &mut Connection, file: &Path, scripts: &[&str]) -> Result<(), IndexError> {
    let found = check(db, scripts)?;
    if found == scripts.len() {
        return Ok(());
    }
    if found > 0 {
        aside::back_up(db, file, version(found))?;
    }
    let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Read again: another process may have been faster.
    for (done, script) in scripts.iter().enumerate().skip(check(&tx, scripts)?) {
        tx.execute_batch(script)?;
        tx.pragma_update(None, "user_version", version(done + 1))?;
    }
    Ok(tx.commit()?)
}

fn version(scripts: usize) -> i64 {
    i64::try_from(scripts).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "CREATE TABLE a (x INTEGER) STRICT; INSERT INTO a VALUES (1);";
    const TWO: &str = "ALTER TABLE a ADD COLUMN y INTEGER NOT NULL DEFAULT 7;";

    #[test]
    fn an_old_file_is_brought_up_to_date_step_by_step() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("state.db");
        drop(read_write(&file, &[ONE]).unwrap());
        let db = read_write(&file, &[ONE, TWO]).unwrap();
        assert_eq!(db.query_row("SELECT x + y FROM a", [], |row| row.get::<_, i64>(0)).unwrap(), 8);
        assert_eq!(check(&db, &[ONE, TWO]).unwrap(), 2);
        drop(db);
        drop(read_write(&file, &[ONE, TWO]).unwrap());
        let kept = read_only(&dir.path().join("state.db.schema-1"), &[ONE]).unwrap();
        assert_eq!(kept.query_row("SELECT x FROM a", [], |row| row.get::<_, i64>(0)).unwrap(), 1);
        let mode =
            std::os::unix::fs::PermissionsExt::mode(&dir.path().join("state.db.schema-1").metadata().unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn without_a_copy_nothing_is_brought_up_to_date() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("state.db");
        drop(read_write(&file, &[ONE]).unwrap());
        std::fs::create_dir_all(dir.path().join("state.db.schema-1/taken")).unwrap();
        assert!(matches!(read_write(&file, &[ONE, TWO]), Err(IndexError::Open { .. })));
        assert!(!dir.path().join("state.db.copy").exists());
        assert_eq!(check(&read_write(&file, &[ONE]).unwrap(), &[ONE]).unwrap(), 1);
    }

    #[test]
    fn a_script_that_fails_leaves_the_file_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("state.db");
        drop(read_write(&file, &[ONE]).unwrap());
        read_write(&file, &[ONE, "DROP TABLE a; CREATE NONSENSE;"]).unwrap_err();
        let db = read_write(&file, &[ONE]).unwrap();
        assert_eq!(db.query_row("SELECT x FROM a", [], |row| row.get::<_, i64>(0)).unwrap(), 1);
    }

    #[test]
    fn a_newer_file_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("state.db");
        drop(read_write(&file, &[ONE, TWO]).unwrap());
        let before = std::fs::read(&file).unwrap();
        for refused in [read_write(&file, &[ONE]), read_only(&file, &[ONE])] {
            assert!(matches!(refused, Err(IndexError::Newer { found: 2, known: 1 })), "{refused:?}");
        }
        assert_eq!(std::fs::read(&file).unwrap(), before);
    }

    #[test]
    fn an_older_file_is_not_read_as_if_it_were_new() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("state.db");
        drop(read_write(&file, &[ONE]).unwrap());
        assert!(matches!(read_only(&file, &[ONE, TWO]), Err(IndexError::Older { found: 1, known: 2 })));
    }

    #[test]
    fn what_is_no_database_is_called_damaged() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("state.db");
        std::fs::write(&file, [b'x'; 8192]).unwrap();
        assert!(matches!(read_write(&file, &[ONE]), Err(IndexError::Corrupt(_))));
    }
}
