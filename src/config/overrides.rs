//! Environment variables in the place of what the files say: `TOWLINE__REMOTE__WEB__TLS__MIN` is `tls.min` of `[remote.web]`, and
//! `TOWLINE__MIRROR__SITE__QUIET` is `quiet` of the mirror `site`. Two underscores stand between the parts. A name is in capitals, with `_` for what is
//! no letter or digit. Only what is in a file already can be overridden, key by key; what is wrong is told with the variable's name.
//!
//! A value is a text, unless it is a number, or begins with a quote, `[` or `{`: then it is TOML.

use std::ffi::OsString;

use toml::de::{DeTable, DeValue};

use super::{
    Fault,
    error::Place,
    layers::{Layers, Table, name_of},
    suggest,
};

/// What the name of such a variable begins with.
const PREFIX: &str = "TOWLINE__";
/// The most of them.
const MOST: usize = 100;
/// How they are written.
const FORM: &str = "expected TOWLINE__REMOTE__NAME__KEY or TOWLINE__MIRROR__NAME__KEY";

/// A variable and its value, which may be a secret by mistake: it has no Debug.
pub(super) struct Variable {
    pub(super) name: String,
    value: OsString,
}

/// Those that there are, by name.
pub(super) fn variables(all: impl Iterator<Item = (OsString, OsString)>) -> Vec<Variable> {
    let ours = all.filter_map(|(name, value)| {
        let name = name.into_string().ok().filter(|name| name.starts_with(PREFIX))?;
        Some(Variable { name, value })
    });
    let mut ours: Vec<_> = ours.collect();
    ours.sort_by(|a, b| a.name.cmp(&b.name));
    ours
}

impl Table {
    /// How it begins in the name of a variable.
    fn prefix(&self) -> String {
        let (kind, name) = match self {
            Self::Remote(name) => ("REMOTE", name),
            Self::Mirror(name) => ("MIRROR", name),
        };
        let fold = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
        format!("{PREFIX}{kind}__{}__", name.chars().map(fold).collect::<String>())
    }

    fn name(&self) -> &str {
        match self {
            Self::Remote(name) | Self::Mirror(name) => name,
        }
    }
}

/// Lays each of `variables` over the file that has its table, of files with these texts; says what is wrong with them.
pub(super) fn lay(layers: &mut [Layers], variables: &[Variable], texts: &[&str]) -> Vec<Fault> {
    if variables.is_empty() {
        return Vec::new();
    }
    let tables: Vec<_> =
        texts.iter().enumerate().flat_map(|(file, text)| tables(text).into_iter().map(move |table| (file, table))).collect();
    let mut faults = Vec::new();
    for variable in variables.iter().take(MOST) {
        match one(variable, &tables) {
            Ok((file, table, keys, value)) => layers[file].on_top(&variable.name, table, keys, &value),
            Err(message) => faults.push(Fault::new(&Place::variable(&variable.name), message)),
        }
    }
    if let Some(first) = variables.get(MOST) {
        faults.push(Fault::new(&Place::variable(&first.name), format!("there are more than {MOST} such variables")));
    }
    faults
}

/// The tables in a file that can be overridden; none where it is no TOML.
fn tables(text: &str) -> Vec<Table> {
    let Ok(root) = DeTable::parse(text) else { return Vec::new() };
    let part = |key: &str| root.get_ref().iter().find(|(known, _)| known.get_ref() == key).map(|(_, value)| value.get_ref());
    let remotes = part("remote").and_then(DeValue::as_table);
    let remotes = remotes.into_iter().flat_map(|remotes| remotes.keys().map(|name| Table::Remote(name.get_ref().to_string())));
    let mirrors = part("mirror").and_then(DeValue::as_array);
    let mirrors = mirrors.into_iter().flat_map(|list| list.iter().filter_map(|mirror| name_of(mirror.get_ref())));
    remotes.chain(mirrors.map(|name| Table::Mirror(name.to_owned()))).collect()
}

/// The file, the table and the keys that a variable stands for, and its value as TOML.
fn one(variable: &Variable, tables: &[(usize, Table)]) -> Result<(usize, Table, Vec<String>, String), String> {
    let Variable { name, value } = variable;
    let fits: Vec<_> =
        tables.iter().filter_map(|(file, table)| Some((*file, table, name.strip_prefix(&table.prefix())?))).collect();
    let (file, table, keys) = match fits.as_slice() {
        [only] => *only,
        [] => {
            let names: Vec<_> = tables.iter().map(|(_, table)| table.prefix()).collect();
            return Err(format!("{FORM}, for what is in a file; there is {}", suggest::list(names.iter().map(String::as_str))));
        }
        several => {
            return Err(format!("it could stand for any of {}", suggest::list(several.iter().map(|(_, table, _)| table.name()))));
        }
    };
    let keys: Vec<_> = keys.split("__").map(str::to_ascii_lowercase).collect();
    if keys.iter().any(|key| key.is_empty() || !key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')) {
        return Err(FORM.to_owned());
    }
    let value = value.to_str().ok_or("expected UTF-8")?;
    Ok((file, table.clone(), keys, as_toml(value)))
}

/// A value as TOML.
fn as_toml(value: &str) -> String {
    let number = value.strip_prefix('-').unwrap_or(value);
    let is_number = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    if is_number || value.starts_with(['[', '{', '"', '\'']) {
        value.to_owned()
    } else {
        toml_edit::Value::from(value).to_string()
    }
}

#[cfg(test)]
mod tests;
