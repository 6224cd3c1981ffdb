//! Writing a pin into the configuration, when told to: beside adding to its end (`draft`) the one thing that Towline ever changes
//! there. Everything else in the file stays as it is, to the byte.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown},
    path::{Path, PathBuf},
};

use base64::Engine as _;
use toml_edit::{Array, DocumentMut, Item, Table, TableLike, Value, value};

use super::{Config, ConfigError, load};

/// A key that is to be trusted from now on.
#[derive(Clone, Copy, Debug)]
pub struct NewPin {
    /// SHA-256 of the public key.
    pub pin: [u8; 32],
    /// Whether the pins that are there go.
    pub replace: bool,
    /// Whether it alone is to count (`trust = "pin"`).
    pub alone: bool,
}

/// Why the configuration stays as it is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EditError {
    /// It cannot be read, or is wrong as it is.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// No file has a remote of this name.
    #[error("no file of the configuration has a remote `{0}`")]
    NoRemote(String),
    /// It is written in a way that cannot be kept.
    #[error("{} is written in a way that would not stay as it is", .0.display())]
    Layout(PathBuf),
    /// The file would not load any more.
    #[error("{} would not load any more: {source}", file.display())]
    WouldNotLoad {
        /// Which.
        file: PathBuf,
        /// Why not.
        source: ConfigError,
    },
    /// Somebody else wrote it meanwhile.
    #[error("{} was changed by somebody else just now", .0.display())]
    Changed(PathBuf),
    /// It cannot be written.
    #[error("cannot write {}: {source}", file.display())]
    Write {
        /// Which.
        file: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl EditError {
    /// What the operator can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Config(error) => error.hint().unwrap_or("correct the configuration first"),
            Self::Write { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                "run it as the user that owns the file; nothing was written"
            }
            Self::Changed(_) => "try again; nothing was written",
            _ => "nothing was written; add it by hand",
        }
    }
}

/// Writes `new` into the file that defines `remote`: `main` or one of its drop-ins. Gives that file; `None` when all of it
/// was there already.
///
/// # Errors
/// When it cannot be done without changing anything else; nothing is written then.
pub fn write_pin(main: &Path, remote: &str, new: &NewPin) -> Result<Option<PathBuf>, EditError> {
    let home = std::env::home_dir();
    for origin in load::origins(main, home.as_deref())? {
        let bytes = load::read(&origin.file)?;
        let Ok(text) = str::from_utf8(&bytes) else { continue };
        let edited = match with_pin(text, remote, new) {
            Edit::NotHere => continue,
            Edit::Done => return Ok(None),
            Edit::Impossible => return Err(EditError::Layout(origin.file)),
            Edit::Text(edited) => edited,
        };
        load::load_as_if(main, home.as_deref(), Some((&origin.file, &edited)))
            .map_err(|source| EditError::WouldNotLoad { file: origin.file.clone(), source })?;
        replace(&origin.file, &bytes, &edited)?;
        return Ok(Some(origin.file));
    }
    // Says what is wrong, if something is.
    Config::load(main)?;
    Err(EditError::NoRemote(remote.to_owned()))
}

/// What became of a text.
#[derive(Debug, PartialEq)]
enum Edit {
    NotHere,
    /// Nothing is left to do.
    Done,
    Impossible,
    Text(String),
}

/// The text with the pin. Pure.
fn with_pin(text: &str, remote: &str, new: &NewPin) -> Edit {
    let breaks = text.matches('\n').count();
    let crlf = match text.matches("\r\n").count() {
        0 => false,
        n if n == breaks => true,
        _ => return Edit::Impossible,
    };
    let plain = if crlf { text.replace("\r\n", "\n") } else { text.to_owned() };
    let Ok(mut document) = plain.parse::<DocumentMut>() else { return Edit::NotHere };
    let before = document.to_string();
    let table = document.get_mut("remote").and_then(Item::as_table_like_mut);
    let Some(table) = table.and_then(|remotes| remotes.get_mut(remote)) else { return Edit::NotHere };
    let inline = table.is_inline_table();
    let Some(table) = table.as_table_like_mut() else { return Edit::Impossible };
    // The writer of TOML puts a line break behind the last line, and must change nothing else.
    if before.trim_end_matches('\n') != plain.trim_end_matches('\n') {
        return Edit::Impossible;
    }
    if !table.contains_key("tls") {
        insert(table, inline, "tls", if inline { value(toml_edit::InlineTable::new()) } else { own_table() });
    }
    let Some(tls) = table.get_mut("tls") else { return Edit::Impossible };
    let inline = tls.is_inline_table();
    let Some(tls) = tls.as_table_like_mut() else { return Edit::Impossible };
    if !set_pin(tls, inline, new) || (new.alone && !set_trust(tls, inline)) {
        return Edit::Impossible;
    }
    let after = document.to_string();
    match (after == before, crlf) {
        (true, _) => Edit::Done,
        (false, true) => Edit::Text(after.replace('\n', "\r\n")),
        (false, false) => Edit::Text(after),
    }
}

/// `[remote.NAME.tls]` with an empty line before it.
fn own_table() -> Item {
    let mut table = Table::new();
    table.decor_mut().set_prefix("\n");
    Item::Table(table)
}

/// Puts a key behind the others; in a table on one line, before the space that closes it.
fn insert(table: &mut dyn TableLike, inline: bool, key: &str, mut item: Item) {
    let last = table.iter_mut().last().and_then(|(_, last)| last.as_value_mut().map(Value::decor_mut));
    if let Some(last) = last.filter(|_| inline)
        && let Some(space) = last.suffix().and_then(|raw| raw.as_str()).map(str::to_owned)
        && let Some(new) = item.as_value_mut()
    {
        last.set_suffix("");
        new.decor_mut().set_suffix(space);
    }
    table.insert(key, item);
}

fn set_pin(tls: &mut dyn TableLike, inline: bool, new: &NewPin) -> bool {
    let pin = format!("sha256/{}", base64::engine::general_purpose::STANDARD.encode(new.pin));
    match tls.get_mut("pin") {
        None => {
            insert(tls, inline, "pin", value(Array::from_iter([pin])));
            true
        }
        Some(item) => {
            let Some(pins) = item.as_array_mut() else { return false };
            let known = pins.iter().any(|one| one.as_str() == Some(&pin));
            if new.replace && !(known && pins.len() == 1) {
                let decor = pins.decor().clone();
                *pins = Array::from_iter([pin]);
                *pins.decor_mut() = decor;
            } else if !known {
                push(pins, pin);
            }
            true
        }
    }
}

/// Adds to a list as it is laid out: on the same line, or on a line of its own, comments staying where they are.
fn push(pins: &mut Array, pin: String) {
    let trailing = pins.trailing().as_str().unwrap_or_default().to_owned();
    let last = pins.len().checked_sub(1);
    let text = |raw: Option<&toml_edit::RawString>| raw.and_then(|raw| raw.as_str()).unwrap_or_default().to_owned();
    let indent = last.and_then(|last| pins.get(last)).map(|one| text(one.decor().prefix())).unwrap_or_default();
    let Some((_, indent)) = indent.rsplit_once('\n') else {
        pins.push(pin);
        return;
    };
    let indent = indent.to_owned();
    // What stands behind the last one: with a comma, before the bracket; without, behind the value.
    let mut behind = trailing;
    if !pins.trailing_comma()
        && let Some(one) = last.and_then(|last| pins.get_mut(last))
    {
        behind = text(one.decor().suffix()) + &behind;
        one.decor_mut().set_suffix("");
    }
    let (kept, closing) = behind.rsplit_once('\n').unwrap_or((&behind, ""));
    let mut added = Value::from(pin);
    added.decor_mut().set_prefix(format!("{kept}\n{indent}"));
    pins.push_formatted(added);
    pins.set_trailing(format!("\n{closing}"));
    pins.set_trailing_comma(true);
}

fn set_trust(tls: &mut dyn TableLike, inline: bool) -> bool {
    match tls.get_mut("trust") {
        None => {
            insert(tls, inline, "trust", value("pin"));
            true
        }
        Some(item) => {
            let Some(trust) = item.as_value_mut() else { return false };
            if trust.as_str() != Some("pin") {
                let decor = trust.decor().clone();
                *trust = Value::from("pin");
                *trust.decor_mut() = decor;
            }
            true
        }
    }
}

/// Puts `text` in the place of `before`, in one step: nobody ever reads a half of it. Mode and owner stay; a symlink is followed.
pub(super) fn replace(file: &Path, before: &[u8], text: &str) -> Result<(), EditError> {
    let failed = |source| EditError::Write { file: file.to_owned(), source };
    let target = fs::canonicalize(file).map_err(failed)?;
    let (Some(dir), Some(name)) = (target.parent(), target.file_name()) else {
        return Err(failed(io::ErrorKind::InvalidInput.into()));
    };
    // Hidden and not called .toml, so that nobody takes it for a drop-in.
    let temporary = dir.join(format!(".{}.towline-{}", name.to_string_lossy(), std::process::id()));
    let written = write_beside(&temporary, &target, text);
    let swapped = written.map_err(failed).and_then(|()| {
        if load::read(file)? != before {
            return Err(EditError::Changed(file.to_owned()));
        }
        fs::rename(&temporary, &target).map_err(failed)
    });
    if let Err(error) = swapped {
        let _ = fs::remove_file(&temporary);
        return Err(error);
    }
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(failed)
}

fn write_beside(temporary: &Path, target: &Path, text: &str) -> io::Result<()> {
    let old = fs::metadata(target)?;
    // One that a killed process of our number left behind.
    let _ = fs::remove_file(temporary);
    let mut new = OpenOptions::new().write(true).create_new(true).mode(0o600).open(temporary)?;
    let made = new.metadata()?;
    if (made.uid(), made.gid()) != (old.uid(), old.gid()) {
        fchown(&new, Some(old.uid()), Some(old.gid()))?;
    }
    new.set_permissions(fs::Permissions::from_mode(old.mode() & 0o7777))?;
    new.write_all(text.as_bytes())?;
    new.sync_all()
}

#[cfg(test)]
mod tests;
