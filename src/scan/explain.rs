//! What a scan would make of one path, and why: for somebody who asks. Notes nothing, and looks at nothing but the
//! directories on the way.

use std::{fmt, os::fd::AsFd};

use super::{
    LOOKS, Root, Rule, Rules, Trouble,
    dir::{self, Identity},
    root::c_name,
    sight::{self, Sight, Skip, Station},
};
use crate::model::{Entry, Kind, PathError, RelPath};

/// What is at a path, as the mirror takes it.
#[derive(Debug)]
pub enum Sighting {
    /// Nothing.
    Nothing,
    /// This is to be on the server. Permissions are left out.
    Mirrored(Entry),
    /// A rule ignores it, or the directory `at` above it.
    Ignored {
        /// Where the rule applies.
        at: RelPath,
        /// Which one.
        rule: Rule,
    },
    /// What is at `at` is of a kind that is not mirrored.
    Skipped {
        /// Where.
        at: RelPath,
        /// What it is, in words.
        why: &'static str,
    },
    /// What is at `at` (`None`: the root) could not be looked at.
    Unreadable {
        /// Where.
        at: Option<RelPath>,
        /// Why.
        trouble: Trouble,
    },
}

/// Looks at `path` by the same rules as a scan. Blocks on the disk.
pub fn explain(root: &Root, rules: &Rules, path: &RelPath) -> Sighting {
    let mut looks = 0;
    loop {
        looks += 1;
        let mut station = Station::root();
        let sighting = descend(root, rules, path, &mut station);
        let sighting = sighting.unwrap_or_else(|trouble| Sighting::Unreadable { at: station.path, trouble });
        let changed = matches!(&sighting, Sighting::Unreadable { trouble, .. } if trouble.tells_of_change());
        if !changed || looks == LOOKS {
            return sighting;
        }
    }
}

fn descend(root: &Root, rules: &Rules, path: &RelPath, station: &mut Station) -> Result<Sighting, Trouble> {
    let mut above: Vec<Identity> = Vec::new();
    let mut at = root.reopen()?;
    let mut chain = rules.chain();
    let mut names = path.components().peekable();
    while let Some(name) = names.next() {
        chain = chain.enter(at.as_fd(), station.path.as_ref()).map_err(Trouble::Rules)?.0;
        let next = RelPath::child(station.path.as_ref(), name)?;
        let name = c_name(name)?;
        let identity = dir::identity(at.as_fd())?;
        let holds = |other| other == identity || above.contains(&other);
        let sight = match sight::look(root, &at, station, &name, holds) {
            Ok((Some(sight), _)) => sight,
            Ok((None, _)) => return Ok(Sighting::Nothing),
            Err(error) => return Ok(Sighting::Unreadable { at: Some(next), trouble: error.into() }),
        };
        let kind = if matches!(sight, Sight::Dir { .. }) { Kind::Dir } else { Kind::File };
        if let Some(rule) = chain.rule(&next, kind) {
            return Ok(Sighting::Ignored { at: next, rule });
        }
        let last = names.peek().is_none();
        match sight {
            Sight::Skipped(why) => return Ok(Sighting::Skipped { at: next, why: words(why) }),
            // Nothing lies below a file.
            Sight::File { .. } | Sight::Link { .. } if !last => return Ok(Sighting::Nothing),
            Sight::File { print, .. } => return Ok(Sighting::Mirrored(Entry::file(print, None))),
            Sight::Link { target } => return Ok(Sighting::Mirrored(Entry::Link { target })),
            Sight::Dir { at: door, identity: seen } => {
                if last {
                    return Ok(Sighting::Mirrored(Entry::dir(seen.inode)));
                }
                above.push(identity);
                match sight::enter(&at, station, &name, next.clone(), door) {
                    Ok(inner) => (at, *station) = inner,
                    Err(error) => return Ok(Sighting::Unreadable { at: Some(next), trouble: error.into() }),
                }
            }
        }
    }
    // No path is without components.
    Err(Trouble::Name(PathError::Empty))
}

fn words(why: Skip) -> &'static str {
    match why {
        Skip::Symlink => "a symbolic link, and `symlinks` says that they are left out",
        Skip::Outside => "a symbolic link that leads out of the directory",
        Skip::Dangling => "a symbolic link that leads to nothing",
        Skip::Looping => "a symbolic link that leads back to a directory that it is in",
        Skip::Socket => "a socket",
        Skip::Fifo => "a named pipe",
        Skip::Device => "a device",
    }
}

impl fmt::Display for Sighting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("nothing is here"),
            Self::Mirrored(entry) => match entry.kind() {
                Kind::File => f.write_str("a file is here"),
                Kind::Dir => f.write_str("a directory is here"),
                Kind::Link => f.write_str("a symbolic link is here"),
            },
            Self::Ignored { at, rule } => write!(f, "{at} is ignored by {rule}"),
            Self::Skipped { at, why } => write!(f, "{at} is {why}"),
            Self::Unreadable { at: Some(at), trouble } => write!(f, "{at} cannot be looked at: {trouble}"),
            Self::Unreadable { at: None, trouble } => write!(f, "the directory cannot be looked at: {trouble}"),
        }
    }
}

#[cfg(test)]
mod tests;
