//! What is laid over or under the tables of one file, each piece as if it stood behind the file's own text: so that a position
//! tells where a value was really written, in another file or in a variable. What is laid, `defaults` and `overrides` say.

use std::borrow::Cow;

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{Origin, error::Place, file::Malformed};

/// The pieces for one file, in the order of their places.
#[derive(Default)]
pub(super) struct Layers {
    /// The length of the file's own text.
    length: usize,
    pieces: Vec<Piece>,
}

struct Piece {
    /// Where it begins, behind everything before it.
    at: usize,
    /// Its text, with so much space in front that it begins there.
    text: String,
    what: What,
}

enum What {
    /// `v = VALUE`, for the place of what these keys lead to.
    Variable { name: String, table: Table, keys: Vec<String> },
    /// A file that has defaults.
    File(Origin),
}

/// A table that a file has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Table {
    Remote(String),
    Mirror(String),
}

/// Tables whose keys are defaults one by one; of others all of it is one value.
pub(super) const DEEP: [&str; 5] = ["tls", "timeouts", "trash", "delete_budget", "verify"];

impl Layers {
    /// Nothing yet, for a file with this text.
    pub(super) fn new(text: &str) -> Self {
        Self { length: text.len(), pieces: Vec::new() }
    }

    /// The defaults in `text`, which is in the file of `origin`.
    pub(super) fn under(&mut self, text: &str, origin: &Origin) {
        self.push(text, What::File(origin.clone()));
    }

    /// The value of a variable, as TOML.
    pub(super) fn on_top(&mut self, name: &str, table: Table, keys: Vec<String>, value: &str) {
        self.push(&format!("v = {value}"), What::Variable { name: name.to_owned(), table, keys });
    }

    fn push(&mut self, text: &str, what: What) {
        let at = self.pieces.last().map_or(self.length, |last| last.text.len()) + 1;
        self.pieces.push(Piece { at, text: " ".repeat(at) + text, what });
    }

    fn piece(&self, offset: usize) -> Option<&Piece> {
        self.pieces.iter().rev().find(|piece| piece.at <= offset)
    }

    /// The place of the byte at `offset`, if it is in one of these.
    pub(super) fn place(&self, offset: usize) -> Option<Place> {
        let piece = self.piece(offset)?;
        Some(match &piece.what {
            What::Variable { name, .. } => Place::variable(name),
            What::File(origin) => {
                Place::new(&origin.file.as_path().into(), &piece.text.as_bytes()[piece.at..], offset - piece.at)
            }
        })
    }

    /// What a relative path at `offset` is relative to, if it is in another file.
    pub(super) fn origin(&self, offset: usize) -> Option<&Origin> {
        match &self.piece(offset)?.what {
            What::File(origin) => Some(origin),
            What::Variable { .. } => None,
        }
    }

    /// Lays them over and under the tables of `root`.
    pub(super) fn apply<'i>(&'i self, root: &mut DeTable<'i>) -> Result<(), Malformed> {
        for Piece { at, text, what } in &self.pieces {
            let malformed = |words: &str| Malformed { span: *at..*at, message: format!("not valid TOML: {words}") };
            let parsed = DeTable::parse(text).map(Spanned::into_inner);
            match what {
                // What is wrong in that file is told there.
                What::File(_) => {
                    if let Ok(mut parsed) = parsed {
                        under(root, &mut parsed);
                    }
                }
                What::Variable { table, keys, .. } => {
                    let mut parsed = parsed.map_err(|e| malformed(e.message()))?;
                    let value = parsed.remove(&key("v", *at)).filter(|_| parsed.is_empty());
                    let value = value.ok_or_else(|| malformed("one value is expected"))?;
                    if let Some(table) = table.find(root) {
                        set(table, keys, value, *at);
                    }
                }
            }
        }
        Ok(())
    }
}

impl Table {
    fn find<'t, 'i>(&self, root: &'t mut DeTable<'i>) -> Option<&'t mut DeTable<'i>> {
        let (Self::Remote(name) | Self::Mirror(name)) = self;
        match self {
            Self::Remote(_) => table_of(table_of(root.get_mut(&key("remote", 0))?)?.get_mut(&key(name, 0))?),
            Self::Mirror(_) => {
                let DeValue::Array(mirrors) = root.get_mut(&key("mirror", 0))?.get_mut() else { return None };
                table_of(mirrors.iter_mut().find(|mirror| name_of(mirror.get_ref()) == Some(name))?)
            }
        }
    }
}

/// What a mirror is called.
pub(super) fn name_of<'v>(mirror: &'v DeValue<'_>) -> Option<&'v str> {
    mirror.as_table()?.iter().find(|(key, _)| key.get_ref() == "name")?.1.get_ref().as_str()
}

/// A key, to be looked for or set.
pub(super) fn key<'i>(name: &str, at: usize) -> Spanned<Cow<'i, str>> {
    Spanned::new(at..at, Cow::Owned(name.to_owned()))
}

fn table_of<'t, 'i>(value: &'t mut Spanned<DeValue<'i>>) -> Option<&'t mut DeTable<'i>> {
    if let DeValue::Table(table) = value.get_mut() { Some(table) } else { None }
}

/// Gives every remote and mirror of `root` what it does not say itself of the defaults in `other`.
fn under<'i>(root: &mut DeTable<'i>, other: &mut DeTable<'i>) {
    let Some(defaults) = other.get_mut(&key("defaults", 0)).and_then(table_of) else { return };
    if let Some(of_remotes) = defaults.get_mut(&key("remote", 0)).and_then(table_of) {
        let remotes = root.get_mut(&key("remote", 0)).and_then(table_of);
        let remotes = remotes.into_iter().flat_map(|remotes| remotes.iter_mut());
        remotes.filter_map(|(_, remote)| table_of(remote)).for_each(|remote| fill(remote, of_remotes, true));
    }
    if let Some(of_mirrors) = defaults.get_mut(&key("mirror", 0)).and_then(table_of)
        && let Some(DeValue::Array(mirrors)) = root.get_mut(&key("mirror", 0)).map(Spanned::get_mut)
    {
        mirrors.iter_mut().filter_map(table_of).for_each(|mirror| fill(mirror, of_mirrors, true));
    }
}

/// Sets in `table` what it lacks of `defaults`.
fn fill<'i>(table: &mut DeTable<'i>, defaults: &DeTable<'i>, deep: bool) {
    for (key, value) in defaults {
        match (table.get_mut(key), value.get_ref()) {
            (None, _) => drop(table.insert(key.clone(), value.clone())),
            (Some(own), DeValue::Table(defaults)) if deep && DEEP.contains(&key.get_ref().as_ref()) => {
                if let Some(own) = table_of(own) {
                    fill(own, defaults, false);
                }
            }
            _ => {}
        }
    }
}

/// Sets what `keys` lead to; what is on the way there and is no table becomes one.
fn set<'i>(table: &mut DeTable<'i>, keys: &[String], value: Spanned<DeValue<'i>>, at: usize) {
    let [first, rest @ ..] = keys else { return };
    let first = key(first, at);
    if rest.is_empty() {
        // Its old key would keep its old place.
        table.remove(&first);
        table.insert(first, value);
        return;
    }
    if let Some(DeValue::Table(inner)) = table.get_mut(&first).map(Spanned::get_mut) {
        return set(inner, rest, value, at);
    }
    let mut inner = DeTable::new();
    set(&mut inner, rest, value, at);
    table.remove(&first);
    table.insert(first, Spanned::new(at..at, DeValue::Table(inner)));
}
