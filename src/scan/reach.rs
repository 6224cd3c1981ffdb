//! Which followed links show what lies elsewhere: no event tells of a change at the link when the file that it leads to has
//! changed, so the link is looked at whenever something was heard of that. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::{model::RelPath, watch::Dirty};

/// So many followed links are kept in mind; what others lead to is noticed at the next full scan.
const MOST: usize = 50_000;
/// Links may lead through links: so many times it is asked what else is reached.
const ROUNDS: usize = 5;
/// With more than this, everything is looked at.
const MOST_DIRTY: usize = 4_096;

/// The followed links that are known, and what they lead to.
#[derive(Clone, Debug, Default)]
pub struct Reach {
    through: BTreeMap<RelPath, Vec<RelPath>>,
    /// The other way round.
    links: BTreeMap<RelPath, BTreeSet<RelPath>>,
}

impl Reach {
    /// `path` is a followed link that depends on `through`.
    pub fn insert(&mut self, path: RelPath, through: Vec<RelPath>) {
        self.remove(&path);
        if self.through.len() < MOST {
            for target in through.iter().filter(|target| **target != path) {
                self.links.entry(target.clone()).or_default().insert(path.clone());
            }
            self.through.insert(path, through);
        }
    }

    /// What `dirty` names is about to be looked at: it will be told anew.
    pub fn forget(&mut self, dirty: &Dirty) {
        let Dirty::Paths(paths) = dirty else {
            *self = Self::default();
            return;
        };
        for dirty in paths {
            let below: Vec<RelPath> = self
                .through
                .range(dirty..)
                .map(|(link, _)| link)
                .take_while(|link| link.is_at_or_below(dirty))
                .cloned()
                .collect();
            below.iter().for_each(|link| self.remove(link));
        }
    }

    /// `dirty`, and every place where it shows through a link.
    pub fn widen(&self, dirty: Dirty) -> Dirty {
        let Dirty::Paths(paths) = dirty else { return dirty };
        if self.links.is_empty() {
            return Dirty::Paths(paths);
        }
        let mut all: BTreeSet<RelPath> = paths.into_iter().collect();
        let mut fresh: Vec<RelPath> = all.iter().cloned().collect();
        for _ in 0..ROUNDS {
            let reached: Vec<RelPath> = fresh.iter().flat_map(|path| self.showing(path)).collect();
            fresh = reached.into_iter().filter(|path| all.insert(path.clone())).collect();
            if all.len() > MOST_DIRTY {
                return Dirty::Everything;
            }
            if fresh.is_empty() {
                break;
            }
        }
        Dirty::Paths(all.into_iter().collect())
    }

    /// Where a change at `path` shows.
    fn showing(&self, path: &RelPath) -> Vec<RelPath> {
        let mut places = Vec::new();
        for target in std::iter::once(path.clone()).chain(path.ancestors()) {
            for link in self.links.get(&target).into_iter().flatten() {
                let below = &path.as_bytes()[target.as_bytes().len()..];
                // What is shown of a link that was only passed is not below it, but at it.
                let ends_there = self.through.get(link).and_then(|through| through.last()) == Some(&target);
                let at = if ends_there { [link.as_bytes(), below].concat() } else { link.as_bytes().to_vec() };
                places.extend(RelPath::new(at));
            }
        }
        let below = self.links.range(path..).take_while(|(target, _)| target.is_at_or_below(path));
        places.extend(below.flat_map(|(_, links)| links).cloned());
        places
    }

    fn remove(&mut self, path: &RelPath) {
        for target in self.through.remove(path).into_iter().flatten() {
            if let Some(links) = self.links.get_mut(&target) {
                links.remove(path);
                if links.is_empty() {
                    self.links.remove(&target);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> RelPath {
        RelPath::new(text).expect("a valid path")
    }

    fn reach(links: &[(&str, &[&str])]) -> Reach {
        let mut reach = Reach::default();
        for (link, through) in links {
            reach.insert(path(link), through.iter().map(|text| path(text)).collect());
        }
        reach
    }

    fn widened(reach: &Reach, dirty: &[&str]) -> Vec<String> {
        match reach.widen(Dirty::Paths(dirty.iter().map(|text| path(text)).collect())) {
            Dirty::Paths(paths) => paths.iter().map(ToString::to_string).collect(),
            Dirty::Everything => vec!["everything".into()],
        }
    }

    #[test]
    fn a_change_shows_wherever_a_link_leads_to_it() {
        let reach =
            reach(&[("link", &["link", "d/f"]), ("dir", &["dir", "d"]), ("far", &["far", "hop", "x/y"]), ("self", &["self"])]);
        for (dirty, wide) in [
            (&["d/f"][..], &["d/f", "dir/f", "link"][..]),
            (&["d/s/g"], &["d/s/g", "dir/s/g"]),
            (&["d"], &["d", "dir", "link"]),
            (&["hop"], &["far", "hop"]),
            (&["x"], &["far", "x"]),
            (&["other", "self"], &["other", "self"]),
        ] {
            assert_eq!(widened(&reach, dirty), wide, "{dirty:?}");
        }
    }

    #[test]
    fn a_link_into_what_another_shows_is_reached() {
        let chain = reach(&[("a", &["a", "real"]), ("b/l", &["b/l", "a/f"]), ("c", &["c", "b"])]);
        assert_eq!(widened(&chain, &["real/f"]), ["a/f", "b/l", "c/l", "real/f"]);
        let ring = reach(&[("a/l", &["a/l", "b"]), ("b/l", &["b/l", "a"])]);
        assert!(widened(&ring, &["a/x"]).len() < 50);
    }

    #[test]
    fn what_is_looked_at_again_is_forgotten_first() {
        let mut reach = reach(&[("d/l", &["d/l", "x"]), ("d.l", &["d.l", "x"])]);
        reach.forget(&Dirty::Paths(vec![path("d")]));
        assert_eq!(widened(&reach, &["x"]), ["d.l", "x"]);
        reach.insert(path("d.l"), vec![path("d.l"), path("y")]);
        assert_eq!(widened(&reach, &["x"]), ["x"]);
        reach.forget(&Dirty::Everything);
        assert_eq!(widened(&reach, &["y"]), ["y"]);
        assert_eq!(reach.widen(Dirty::Everything), Dirty::Everything);
    }
}
