//! Holds what Towline has written down as done against what lies on the server: its index read from outside, the server's files from
//! the disk. It asks nobody's `status`.

use std::{fs, path::Path, time::Duration};

use rusqlite::{Connection, OpenFlags};
use towline::model::RelPath;

/// What was compared.
#[derive(Debug, Default)]
pub struct Audit {
    /// Files that are recorded with their digest and are nobody's job now.
    pub compared: u64,
    /// Of these, those that the server does not hold like that.
    pub wrong: Vec<String>,
}

/// Compares the index `db` with `mirrored`, the mirror's directory on the server. Nobody may be at work meanwhile but the server
/// itself, which may be at a job that the index knows of. Nothing where the index cannot be read just now.
pub fn audit(db: &Path, mirrored: &Path) -> Option<Audit> {
    let db = Connection::open_with_flags(db, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX).ok()?;
    db.busy_timeout(Duration::from_millis(200)).ok()?;
    let mut busy = db.prepare("SELECT path FROM job UNION SELECT source FROM job WHERE source IS NOT NULL").ok()?;
    let busy: Vec<Vec<u8>> = busy.query_map([], |row| row.get(0)).ok()?.collect::<Result<_, _>>().ok()?;
    let mut rows = db.prepare("SELECT path, r_digest FROM entry WHERE r_kind = 'file' AND r_digest IS NOT NULL").ok()?;
    let rows = rows.query_map([], |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, Vec<u8>>(1)?))).ok()?;
    let mut audit = Audit::default();
    for (key, digest) in rows.collect::<Result<Vec<_>, _>>().ok()? {
        if busy.iter().any(|job| key == *job || key.strip_prefix(job.as_slice()).is_some_and(|rest| rest.first() == Some(&0))) {
            continue;
        }
        audit.compared += 1;
        let path = RelPath::from_key(&key).unwrap();
        let found = fs::read(path.below(mirrored)).map(|body| blake3::hash(&body));
        if !found.as_ref().is_ok_and(|found| found.as_bytes() == digest.as_slice()) {
            audit.wrong.push(format!("{path} is recorded, the server has {found:?}"));
        }
    }
    Some(audit)
}
