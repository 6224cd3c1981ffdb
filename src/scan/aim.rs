//! From dirty paths to what has to be walked: how far up a look must begin so that nothing is concluded from a directory
//! that is not the known one.

use std::os::fd::AsFd;

use super::{
    Known, Out, Root, Rules, ScanError, Trouble,
    ahead::Helpers,
    dir::{self, Identity},
    root::c_name,
    rules::IGNORE_FILE,
    sight::{self, Sight, Station},
    walk::{self, Frame},
};
use crate::{
    model::{Entry, Kind, RelPath},
    watch::Dirty,
};

/// The paths to look at, in preorder, none covered by another; `None` is everything. An ignore file stands for its
/// directory, since it may change what any path there means.
pub(super) fn targets(dirty: &Dirty) -> Option<Vec<RelPath>> {
    let Dirty::Paths(paths) = dirty else { return None };
    let mut targets = Vec::with_capacity(paths.len());
    for path in paths {
        targets.push(if path.name() == IGNORE_FILE.as_bytes() { path.parent()? } else { path.clone() });
    }
    targets.sort_unstable();
    targets.dedup_by(|path, before| path.is_at_or_below(before));
    Some(targets)
}

/// Looks at each of `targets` and everything below it.
pub(super) fn at_each<K: Known>(
    root: &Root,
    rules: &Rules,
    targets: &[RelPath],
    known: &mut K,
    helpers: &mut Helpers<'_, '_>,
    out: &mut Out<'_>,
) -> Result<(), ScanError<K::Error>> {
    let mut done: Option<RelPath> = None;
    for target in targets {
        // Several may lead to one and the same unknown directory.
        if done.as_ref().is_some_and(|done| target.is_at_or_below(done)) {
            continue;
        }
        match approach(root, rules, target, known).map_err(ScanError::Known)? {
            Ok(Approach { frame, above, prefix }) => {
                walk::from(root, frame, &above, known.under(Some(&prefix)), helpers, out)?;
                done = Some(prefix);
            }
            Err((path, trouble)) => {
                out.problem(path.clone(), trouble)?;
                if path.is_none() {
                    break;
                }
                done = path;
            }
        }
    }
    Ok(())
}

/// Where a walk is to begin.
struct Approach {
    /// The directory that holds the first path to look at.
    frame: Frame,
    /// Those that hold it.
    above: Vec<Identity>,
    /// That path.
    prefix: RelPath,
}

/// Goes down from the root as long as every directory is the known one and not ignored. The frame with the first path
/// that is not, or with `target`; and that path. Or where the way is barred.
#[expect(clippy::type_complexity, reason = "two kinds of failure: the inner is a finding, the outer ends the scan")]
fn approach<K: Known>(
    root: &Root,
    rules: &Rules,
    target: &RelPath,
    known: &mut K,
) -> Result<Result<Approach, (Option<RelPath>, Trouble)>, K::Error> {
    let mut station = Station::root();
    let mut above: Vec<Identity> = Vec::new();
    let mut at = match root.reopen() {
        Ok(at) => at,
        Err(error) => return Ok(Err((None, error.into()))),
    };
    let mut chain = rules.chain();
    let mut names = target.components().peekable();
    while let Some(name) = names.next() {
        let barred = |trouble| Ok(Err((station.path.clone(), trouble)));
        chain = match chain.enter(at.as_fd(), station.path.as_ref()) {
            Ok((chain, _)) => chain,
            Err(error) => return barred(Trouble::Rules(error)),
        };
        let (next, name) = match (RelPath::child(station.path.as_ref(), name), c_name(name)) {
            (Ok(next), Ok(name)) => (next, name),
            (Err(error), _) => return barred(error.into()),
            (_, Err(error)) => return barred(error.into()),
        };
        let identity = match dir::identity(at.as_fd()) {
            Ok(identity) => identity,
            Err(error) => return barred(error.into()),
        };
        let mut below = None;
        if names.peek().is_some() {
            let holds = |other| other == identity || above.contains(&other);
            // Whatever goes wrong here is met again, and told, when the walk begins at this name.
            if let Ok((Some(Sight::Dir { at: place, identity }), _)) = sight::look(root, &at, &station, &name, holds) {
                let same = known.at(&next)?.is_some_and(|entry| entry.same_content(&Entry::dir(identity.inode)));
                if same && !chain.ignored(&next, Kind::Dir) {
                    let opened = sight::enter(&at, &station, &name, next.clone(), place).ok();
                    below = opened.filter(|(dir, _)| dir::identity(dir.as_fd()).is_ok_and(|opened| opened == identity));
                }
            }
        }
        match below {
            Some(inner) => {
                above.push(identity);
                (at, station) = inner;
            }
            None => {
                let path = station.path.clone();
                let frame = Frame::one(at, station, &name, chain);
                return Ok(frame.map(|frame| Approach { frame, above, prefix: next }).map_err(|trouble| (path, trouble)));
            }
        }
    }
    // No path is without components.
    Ok(Err((station.path, Trouble::Name(crate::model::PathError::Empty))))
}
