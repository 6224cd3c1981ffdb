//! Rows of the entry table to and from [`Held`], and the key ranges that paths stand for. No transactions here.

use std::sync::LazyLock;

use rusqlite::{Connection, Params, Row, ToSql, params};

use super::{IndexError, held::Held};
use crate::model::{Digest, Entry, Fingerprint, Mode, RelPath, UnixMillis};

/// Greater than every key: no file system takes a name of more than 255 bytes.
const AFTER_ALL: [u8; 256] = [0xFF; 256];

/// Rows that are added in one statement.
const TOGETHER: usize = 32;

/// Adds one row.
const ONE: &str = include_str!("sql/add.sql");

/// Adds [`TOGETHER`].
static MANY: LazyLock<String> = LazyLock::new(|| {
    let values = ONE.lines().last().unwrap_or_default();
    format!("{ONE}{}", format!(", {values}").repeat(TOGETHER - 1))
});

/// The keys at and below a path (or all of them), as the first one and the first one after them.
pub(super) fn range(path: Option<&RelPath>) -> (Vec<u8>, Vec<u8>) {
    match path {
        None => (Vec::new(), after_all()),
        // The keys below go on with a NUL; no name holds one, so nothing else lies between.
        Some(path) => {
            let (first, mut end) = (path.to_key(), path.to_key());
            end.push(1);
            (first, end)
        }
    }
}

/// A key after all others.
pub(super) fn after_all() -> Vec<u8> {
    AFTER_ALL.to_vec()
}

/// The row of `path`, if there is one.
pub(super) fn get(db: &Connection, path: &RelPath) -> Result<Option<Held>, IndexError> {
    let mut statement = db.prepare_cached(include_str!("sql/get.sql"))?;
    let mut rows = statement.query([path.to_key()])?;
    rows.next()?.map(read).transpose()
}

/// The rows that `sql`, a selection of all columns, yields.
pub(super) fn select(db: &Connection, sql: &str, params: impl Params) -> Result<Vec<Held>, IndexError> {
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(row)?);
    }
    Ok(found)
}

/// Writes a row, or deletes it when it holds nothing.
pub(super) fn put(db: &Connection, held: &Held) -> Result<(), IndexError> {
    if held.is_nothing() {
        db.prepare_cached(include_str!("sql/delete.sql"))?.execute([held.path.to_key()])?;
        return Ok(());
    }
    let (o, r) = (Side::of(held.observed.as_ref()), Side::of(held.recorded.as_ref()));
    let problem = held.problem.as_ref().map(serde_json::to_string).transpose().map_err(IndexError::Unwritable)?;
    db.prepare_cached(include_str!("sql/put.sql"))?.execute(params![
        held.path.to_key(),
        o.kind,
        o.size,
        o.mtime,
        o.ctime,
        o.inode,
        o.digest,
        o.mode,
        r.kind,
        r.size,
        r.mtime,
        r.ctime,
        r.inode,
        r.digest,
        r.mode,
        held.since.map(|at| at.0),
        held.attempts,
        held.not_before.map(|at| at.0),
        problem,
        fold(&held.path),
    ])?;
    Ok(())
}

/// Whether there is a row from `first` to `last`.
pub(super) fn any(db: &Connection, first: &RelPath, last: &RelPath) -> Result<bool, IndexError> {
    let mut statement = db.prepare_cached(include_str!("sql/any.sql"))?;
    Ok(statement.query_row([first.to_key(), last.to_key()], |row| row.get(0))?)
}

/// Writes rows of different paths, of which there are none yet, with nothing but what was observed.
pub(super) fn add(db: &Connection, new: &[Held]) -> Result<(), IndexError> {
    let (whole, rest) = new.as_chunks::<TOGETHER>();
    for held in whole.iter().map(<[Held; TOGETHER]>::as_slice).chain(rest.chunks(1)) {
        let mut statement = db.prepare_cached(if held.len() == TOGETHER { &MANY } else { ONE })?;
        let mut at = 0;
        let mut bind = |value: &dyn ToSql| {
            at += 1;
            statement.raw_bind_parameter(at, value)
        };
        for held in held {
            let o = Side::of(held.observed.as_ref());
            let (key, since, fold) = (held.path.to_key(), held.since.map(|at| at.0), fold(&held.path));
            let row: [&dyn ToSql; 10] = [&key, &o.kind, &o.size, &o.mtime, &o.ctime, &o.inode, &o.digest, &o.mode, &since, &fold];
            row.into_iter().try_for_each(&mut bind)?;
        }
        statement.raw_execute()?;
    }
    Ok(())
}

/// What was observed, as `sql/under.sql` selects it.
pub(super) fn observed(db: &Connection, params: impl Params) -> Result<Vec<(RelPath, Entry)>, IndexError> {
    let mut statement = db.prepare_cached(include_str!("sql/under.sql"))?;
    let mut rows = statement.query(params)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let entry = side(row, 1)?.ok_or_else(|| IndexError::corrupt("an observed entry without a kind"))?;
        found.push((path(row, 0)?, entry));
    }
    Ok(found)
}

/// A row with all columns, in the order of the schema.
fn read(row: &Row<'_>) -> Result<Held, IndexError> {
    Ok(Held {
        path: path(row, 0)?,
        observed: side(row, 1)?,
        recorded: side(row, 8)?,
        since: row.get::<_, Option<i64>>(15)?.map(UnixMillis),
        attempts: row.get(16)?,
        not_before: row.get::<_, Option<i64>>(17)?.map(UnixMillis),
        problem: row
            .get::<_, Option<String>>(18)?
            .map(|json| serde_json::from_str(&json))
            .transpose()
            .map_err(IndexError::corrupt)?,
    })
}

/// The key of `path` as a server that folds case may see it, where that is another one.
pub(super) fn fold(path: &RelPath) -> Option<Vec<u8>> {
    if path.as_bytes().iter().all(|b| b.is_ascii() && !b.is_ascii_uppercase()) {
        return None;
    }
    let folded = path.folded();
    (folded != *path).then(|| folded.to_key())
}

/// The path whose key is in column `at`.
pub(super) fn path(row: &Row<'_>, at: usize) -> Result<RelPath, IndexError> {
    RelPath::from_key(row.get_ref(at)?.as_blob().map_err(IndexError::corrupt)?).map_err(IndexError::corrupt)
}

/// The digest in column `at`, if any.
pub(super) fn digest(row: &Row<'_>, at: usize) -> Result<Option<Digest>, IndexError> {
    Ok(row.get::<_, Option<[u8; 32]>>(at)?.map(Digest))
}

/// The fingerprint in the four columns from `at` on.
pub(super) fn print(row: &Row<'_>, at: usize) -> Result<Fingerprint, IndexError> {
    Ok(Fingerprint {
        size: row.get::<_, i64>(at)?.cast_unsigned(),
        mtime_ns: row.get(at + 1)?,
        ctime_ns: row.get(at + 2)?,
        inode: row.get::<_, i64>(at + 3)?.cast_unsigned(),
    })
}

/// The mode in column `at`, if any.
pub(super) fn mode(row: &Row<'_>, at: usize) -> Result<Option<Mode>, IndexError> {
    Ok(row.get::<_, Option<u32>>(at)?.map(Mode::of))
}

/// The side of an entry in the seven columns from `at` on.
fn side(row: &Row<'_>, at: usize) -> Result<Option<Entry>, IndexError> {
    match row.get_ref(at)?.as_str_or_null().map_err(IndexError::corrupt)? {
        None => Ok(None),
        Some("dir") => Ok(Some(Entry::Dir { inode: row.get::<_, i64>(at + 4)?.cast_unsigned(), mode: mode(row, at + 6)? })),
        Some("link") => {
            let target = digest(row, at + 5)?.ok_or_else(|| IndexError::corrupt("a link without a target"))?;
            Ok(Some(Entry::Link { target }))
        }
        Some(_) => Ok(Some(Entry::File { print: print(row, at + 1)?, digest: digest(row, at + 5)?, mode: mode(row, at + 6)? })),
    }
}

/// One side as columns.
#[derive(Default)]
struct Side {
    kind: Option<&'static str>,
    size: Option<i64>,
    mtime: Option<i64>,
    ctime: Option<i64>,
    inode: Option<i64>,
    digest: Option<[u8; 32]>,
    mode: Option<u16>,
}

impl Side {
    fn of(entry: Option<&Entry>) -> Self {
        let (kind, print, digest) = match entry {
            None => return Self::default(),
            Some(Entry::Dir { inode, .. }) => ("dir", Fingerprint { inode: *inode, ..Fingerprint::default() }, None),
            Some(Entry::File { print, digest, .. }) => ("file", *print, digest.map(|digest| digest.0)),
            Some(Entry::Link { target }) => ("link", Fingerprint::default(), Some(target.0)),
        };
        Self {
            kind: Some(kind),
            size: Some(print.size.cast_signed()),
            mtime: Some(print.mtime_ns),
            ctime: Some(print.ctime_ns),
            inode: Some(print.inode.cast_signed()),
            digest,
            mode: entry.and_then(Entry::mode).map(Mode::bits),
        }
    }
}

/// A limit as SQL takes it.
pub(super) fn limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
