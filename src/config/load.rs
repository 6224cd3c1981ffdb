//! Finding and reading the files of a configuration. What is in them is for `validate` and `merge`.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    Config, ConfigError, Env, Fault, Origin, defaults, dirs,
    error::Place,
    layers::Layers,
    merge,
    overrides::{self, Variable},
    validate::{self, Part},
};

/// The largest file that is read, in bytes.
const MAX_FILE: u64 = 1 << 20;
/// The most drop-ins.
const MAX_DROP_INS: usize = 256;

/// See [`Config::find`].
pub(super) fn find(explicit: Option<&Path>, env: Env<'_>) -> Result<PathBuf, ConfigError> {
    let looked = candidates(explicit, env);
    // A file that is there and cannot be looked at is taken: reading it says why. But not the machine's, where it is the last of several:
    // in a directory that is kept from us it is for others.
    let is_kept = |path: &Path, error: &io::Error| {
        error.kind() == io::ErrorKind::PermissionDenied && looked.len() > 1 && path.starts_with("/etc")
    };
    let there = |path: &PathBuf| match fs::metadata(path) {
        Ok(_) => true,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => false,
        Err(error) => !is_kept(path, &error),
    };
    looked.iter().find(|path| there(path)).cloned().ok_or(ConfigError::NotFound { looked })
}

/// Where to look, in order. What somebody named is the only place.
fn candidates(explicit: Option<&Path>, env: Env<'_>) -> Vec<PathBuf> {
    let named = explicit.map(Path::to_owned).or_else(|| dirs::variable(env, "TOWLINE_CONFIG").map(PathBuf::from));
    if let Some(named) = named {
        return vec![named];
    }
    let own = dirs::xdg(env, "XDG_CONFIG_HOME", ".config").map(|dir| dir.join("towline/towline.toml"));
    own.into_iter().chain([PathBuf::from("/etc/towline/towline.toml")]).collect()
}

/// See [`Config::load`]; `home` is what `~` stands for.
pub(super) fn load(file: &Path, home: Option<&Path>) -> Result<Config, ConfigError> {
    load_as_if(file, home, None)
}

/// As [`load`], but the file of `instead` has that text.
pub(super) fn load_as_if(file: &Path, home: Option<&Path>, instead: Option<(&Path, &str)>) -> Result<Config, ConfigError> {
    load_with(file, home, instead, &overrides::variables(std::env::vars_os()))
}

/// As [`load_as_if`], with these variables and no others.
pub(super) fn load_with(
    file: &Path,
    home: Option<&Path>,
    instead: Option<(&Path, &str)>,
    variables: &[Variable],
) -> Result<Config, ConfigError> {
    let origins = origins(file, home)?;
    let bytes = origins.iter().map(|origin| match instead {
        Some((path, text)) if path == origin.file => Ok(text.as_bytes().to_vec()),
        _ => read(&origin.file),
    });
    let bytes = bytes.collect::<Result<Vec<_>, _>>()?;
    let texts: Vec<_> = bytes.iter().map(|bytes| str::from_utf8(bytes).unwrap_or_default()).collect();
    let mut layers: Vec<_> = texts.iter().map(|text| Layers::new(text)).collect();
    let files: Vec<_> = texts.iter().copied().zip(&origins).collect();
    let mut faults = defaults::lay(&mut layers, &files);
    faults.extend(overrides::lay(&mut layers, variables, &texts));
    let read = origins.iter().zip(&bytes).zip(&layers);
    let parts = std::iter::once(Part { faults, ..Part::default() })
        .chain(read.map(|((origin, bytes), layers)| part(origin, bytes, layers)));
    let (config, plain_files) = merge::merge(parts.collect())?;
    let faults: Vec<_> = plain_files
        .iter()
        .filter(|(_, path, _)| path.is_dir())
        .map(|(key, _, at)| Fault::new(at, format!("{key}: expected a PEM file; this is a directory")))
        .collect();
    if faults.is_empty() { Ok(config) } else { Err(ConfigError::Invalid { faults }) }
}

/// The file and its drop-ins, in the order in which they are read.
pub(super) fn origins(file: &Path, home: Option<&Path>) -> Result<Vec<Origin>, ConfigError> {
    let main = Origin::new(file, home);
    let drop_ins = drop_ins(&main.file.with_file_name("conf.d"))?;
    Ok(std::iter::once(main).chain(drop_ins.iter().map(|file| Origin::new(file, home))).collect())
}

/// The drop-ins in `dir`, sorted; none if there is no such directory. Hidden files (an editor's, a package manager's) are not.
fn drop_ins(dir: &Path) -> Result<Vec<PathBuf>, ConfigError> {
    let unreadable = |source| ConfigError::Read { file: dir.to_owned(), source };
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unreadable(error)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(unreadable)?.path();
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if !hidden && path.extension().is_some_and(|extension| extension == "toml") {
            files.push(path);
        }
        if files.len() > MAX_DROP_INS {
            return Err(ConfigError::TooMany { dir: dir.to_owned(), limit: MAX_DROP_INS });
        }
    }
    files.sort();
    Ok(files)
}

/// What is in a file, at most [`MAX_FILE`] of it.
pub(super) fn read(file: &Path) -> Result<Vec<u8>, ConfigError> {
    let unreadable = |source| ConfigError::Read { file: file.to_owned(), source };
    let mut bytes = Vec::new();
    File::open(file).map_err(unreadable)?.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(ConfigError::TooLarge { file: file.to_owned(), limit: MAX_FILE });
    }
    Ok(bytes)
}

fn part(origin: &Origin, bytes: &[u8], layers: &Layers) -> Part {
    match str::from_utf8(bytes) {
        Ok(text) => validate::part(text, origin, layers),
        Err(error) => {
            let file: Arc<Path> = origin.file.as_path().into();
            let at = Place::new(&file, bytes, error.valid_up_to());
            Part { faults: vec![Fault::new(&at, "not valid TOML: expected UTF-8")], ..Part::default() }
        }
    }
}

#[cfg(test)]
mod tests;
