//! `[defaults.remote]` and `[defaults.mirror]`: what every remote and mirror of all files has where it does not say otherwise. They
//! may be spread over files; a key that two of them set is a fault, for nobody could tell which counts.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use toml::de::{DeTable, DeValue};

use super::{
    Fault, Origin,
    error::Place,
    layers::{DEEP, Layers},
};

/// What can be no default, since it makes one remote or mirror differ from others.
pub(super) const OWN: [(&str, &[&str]); 2] = [("remote", &["host"]), ("mirror", &["name", "source", "path"])];

/// So many files may have defaults: each is laid under all others.
const MOST: usize = 16;

/// Lays the defaults of all files under each of them; says what is wrong with them as such. What they are worth is seen where they
/// count.
pub(super) fn lay(layers: &mut [Layers], files: &[(&str, &Origin)]) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut seen: BTreeMap<String, Place> = BTreeMap::new();
    let mut with_defaults = 0;
    for (text, origin) in files {
        let found = found(text);
        let file: Arc<Path> = origin.file.as_path().into();
        for (path, offset) in &found {
            let at = Place::new(&file, text.as_bytes(), *offset);
            let (kind, key) = path.split_once('.').unwrap_or((path, ""));
            if OWN.iter().any(|(of, keys)| *of == kind && keys.contains(&key)) {
                faults.push(Fault::new(&at, format!("`{key}` can be no default: each {kind} has its own")));
            } else if let Some(first) = seen.get(path) {
                faults.push(Fault::new(&at, format!("`{key}` of [defaults.{kind}] is set already, at {first}")));
            } else {
                seen.insert(path.clone(), at);
            }
        }
        let Some((_, first)) = found.first() else { continue };
        with_defaults += 1;
        if with_defaults > MOST {
            let at = Place::new(&file, text.as_bytes(), *first);
            faults.push(Fault::new(&at, format!("more than {MOST} files have defaults; put them into fewer")));
            break;
        }
        layers.iter_mut().for_each(|layers| layers.under(text, origin));
    }
    faults
}

/// The keys that a file has defaults for (`mirror.trash.days`), and where.
fn found(text: &str) -> Vec<(String, usize)> {
    // Most files have none; those that cannot be read are told of elsewhere.
    let Some(root) = Some(text).filter(|text| text.contains("defaults")).and_then(|text| DeTable::parse(text).ok()) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    let defaults = root.get_ref().iter().find(|(key, _)| key.get_ref() == "defaults");
    for (kind, keys) in defaults.and_then(|(_, value)| value.get_ref().as_table()).into_iter().flatten() {
        for (key, value) in keys.get_ref().as_table().into_iter().flatten() {
            let path = format!("{}.{}", kind.get_ref(), key.get_ref());
            match value.get_ref() {
                DeValue::Table(inner) if DEEP.contains(&key.get_ref().as_ref()) => {
                    found.extend(inner.iter().map(|(key, _)| (format!("{path}.{}", key.get_ref()), key.span().start)));
                }
                _ => found.push((path, key.span().start)),
            }
        }
    }
    found
}

#[cfg(test)]
mod tests;
