//! From the parts that the files contribute to one configuration: names are unique, references resolve, no two mirrors
//! write into one directory. Pure.

use std::{collections::BTreeMap, path::PathBuf};

use super::{
    Config, ConfigError, Fault, Notify, Remote,
    error::Place,
    suggest,
    validate::{Part, PlacedMirror},
};
use crate::model::RelPath;

/// Files that have to be files and not directories: by which key and where they are named.
pub(super) type PlainFiles = Vec<(&'static str, PathBuf, Place)>;

/// Makes one configuration of `parts`, which are in the order of their files.
pub(super) fn merge(parts: Vec<Part>) -> Result<(Config, PlainFiles), ConfigError> {
    let (mut names, mut remotes, mut mirrors) = (BTreeMap::<String, Place>::new(), BTreeMap::new(), Vec::new());
    let (mut plain_files, mut faults) = (Vec::new(), Vec::new());
    let mut notify: Option<(Notify, Place)> = None;
    for part in parts {
        faults.extend(part.faults);
        plain_files.extend(part.plain_files);
        for (name, at) in part.names {
            if let Some(first) = names.get(&name) {
                faults.push(Fault::new(&at, format!("remote `{name}` exists already, at {first}")));
            } else {
                names.insert(name, at);
            }
        }
        remotes.extend(part.remotes.into_iter().map(|remote| (remote.name.clone(), remote)));
        mirrors.extend(part.mirrors);
        match (&notify, part.notify) {
            (Some((_, first)), Some((_, at))) => faults.push(Fault::new(&at, format!("[notify] exists already, at {first}"))),
            (None, found @ Some(_)) => notify = found,
            (_, None) => {}
        }
    }
    faults.extend(same_names(&mirrors));
    faults.extend(mirrors.iter().filter_map(|mirror| unknown_remote(mirror, &names)));
    faults.extend(overlaps(&mirrors, &remotes));
    // What is wrong with a default is found wherever it counts.
    let mut told = Vec::new();
    faults.retain(|fault| {
        !told.contains(fault) && {
            told.push(fault.clone());
            true
        }
    });
    if !faults.is_empty() {
        return Err(ConfigError::Invalid { faults });
    }
    let mirrors = mirrors.into_iter().map(|placed| placed.mirror).collect();
    let notify = notify.map(|(notify, _)| notify).unwrap_or_default();
    Ok((Config { remotes, mirrors, notify }, plain_files))
}

fn same_names(mirrors: &[PlacedMirror]) -> Vec<Fault> {
    let mut seen = BTreeMap::new();
    let mut faults = Vec::new();
    for PlacedMirror { mirror, name_at, .. } in mirrors {
        if let Some(first) = seen.get(&mirror.name) {
            faults.push(Fault::new(name_at, format!("mirror `{}` exists already, at {first}", mirror.name)));
        } else {
            seen.insert(&mirror.name, name_at);
        }
    }
    faults
}

fn unknown_remote(placed: &PlacedMirror, names: &BTreeMap<String, Place>) -> Option<Fault> {
    let given = &placed.mirror.remote;
    if names.contains_key(given) {
        return None;
    }
    let known = || names.keys().map(String::as_str);
    // Repeats what is written only where it is near to a name: it could be anything.
    let message = match suggest::nearest(given, known()) {
        Some(near) => format!("there is no remote `{given}`; did you mean `{near}`?"),
        None if names.is_empty() => "there is no remote of this name, nor any other".to_owned(),
        None => format!("there is no remote of this name; there are {}", suggest::list(known())),
    };
    Some(Fault::new(&placed.remote_at, message))
}

/// Mirrors into one account of which one directory holds the other. Two names of one account count as one.
fn overlaps(mirrors: &[PlacedMirror], remotes: &BTreeMap<String, Remote>) -> Vec<Fault> {
    let mut targets: Vec<_> = mirrors
        .iter()
        .enumerate()
        .filter_map(|(number, placed)| {
            let remote = remotes.get(&placed.mirror.remote)?;
            let account = (remote.host.to_ascii_lowercase(), remote.port, remote.user.as_str());
            Some((account, RelPath::new(placed.mirror.path.trim_start_matches('/')).ok(), number))
        })
        .collect();
    targets.sort();

    // In this order a directory comes right before all that lie in it.
    let mut faults = Vec::new();
    let mut open: Option<&(_, Option<RelPath>, usize)> = None;
    for target in &targets {
        match open {
            Some(outer) if outer.0 == target.0 && holds(outer.1.as_ref(), target.1.as_ref()) => {
                let (first, second) = (outer.2.min(target.2), outer.2.max(target.2));
                let (first, second) = (&mirrors[first], &mirrors[second]);
                let message = format!("overlaps with the directory of mirror `{}`, at {}", first.mirror.name, first.path_at);
                let hint = "two mirrors must not write into one directory; give each a directory of its own";
                faults.push(Fault::new(&second.path_at, message).with_hint(hint));
            }
            _ => open = Some(target),
        }
    }
    faults
}

/// Whether `inner` is `outer` or lies in it; `None` is the root.
fn holds(outer: Option<&RelPath>, inner: Option<&RelPath>) -> bool {
    match (outer, inner) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(outer), Some(inner)) => inner.is_at_or_below(outer),
    }
}
