//! What cannot be mirrored as it is called: names that this server is known to alter, links that it cannot make, and of
//! several names that it takes for one all but one. Looks at names alone; what is wrong with them is found anew by every plan.

use std::collections::BTreeMap;

use super::survey::Site;
use crate::model::{Abilities, Kind, PathSet, Problem, Reason, RelPath};

/// Marks the sites that cannot be filled, with all below them, and says why of the topmost. The sites are in preorder.
pub(super) fn judge(sites: &mut [Site<'_>], abilities: &Abilities) -> Vec<(RelPath, Problem)> {
    let mut parked: BTreeMap<usize, Problem> = BTreeMap::new();
    if *abilities == Abilities::UNKNOWN {
        return Vec::new();
    }
    for (i, site) in sites.iter_mut().enumerate().filter(|(_, site)| site.fills.is_some()) {
        if let Some(problem) = unfit(site, abilities) {
            site.parked = true;
            parked.insert(i, problem);
        }
    }
    if abilities.folds() {
        for (i, problem) in twins(sites) {
            parked.entry(i).or_insert(problem);
        }
    }
    spread(sites);
    let topmost = |i: &usize| sites[*i].fills.is_some() && !sites[*i].below_parked;
    parked.into_iter().filter(|(i, _)| topmost(i)).map(|(i, problem)| (sites[i].row.path.clone(), problem)).collect()
}

fn unfit(site: &Site<'_>, abilities: &Abilities) -> Option<Problem> {
    let altered = abilities.alters(&site.row.path).map(|why| Problem::new(Reason::Altered, why));
    let linkless = site.fills == Some(Kind::Link) && abilities.symlink == Some(false);
    altered.or_else(|| linkless.then(|| Problem::new(Reason::NoLinks, "")))
}

/// Of the observed sites with one folded path the one that is recorded keeps the name, else the first. One in a directory
/// that does not keep its own name has no claim.
fn twins(sites: &mut [Site<'_>]) -> Vec<(usize, Problem)> {
    let mut groups: BTreeMap<(usize, RelPath), Vec<usize>> = BTreeMap::new();
    for (i, site) in sites.iter().enumerate().filter(|(_, site)| site.row.observed.is_some()) {
        let path = &site.row.path;
        groups.entry((path.components().count(), path.folded())).or_default().push(i);
    }
    let mut found = Vec::new();
    let mut without_claim: PathSet = sites.iter().filter(|site| site.parked).map(|site| site.row.path.clone()).collect();
    // Outermost first, so that the claims of the directories are known.
    for group in groups.into_values().filter(|group| group.len() > 1) {
        let has_claim = |i: &&usize| !without_claim.covers(&sites[**i].row.path);
        let claims: Vec<usize> = group.iter().filter(has_claim).copied().collect();
        let keeper = claims.iter().find(|i| sites[**i].row.recorded.is_some()).or(claims.first()).copied();
        for i in claims {
            if Some(i) != keeper
                && let Some(keeper) = keeper
            {
                let twin = &sites[keeper].row.path;
                let problem = Problem::new(Reason::Twin, format_args!("on this server it is one with {twin}"));
                sites[i].parked = true;
                without_claim.insert(sites[i].row.path.clone());
                found.push((i, problem));
            }
        }
    }
    found
}

/// Below a directory that is not mirrored nothing is.
fn spread(sites: &mut [Site<'_>]) {
    let mut above: Option<RelPath> = None;
    for site in sites {
        let path = &site.row.path;
        if above.as_ref().is_some_and(|above| path.is_at_or_below(above)) {
            site.below_parked = true;
        } else if site.parked {
            above = Some(path.clone());
        }
        site.blocked |= site.fills.is_some() && (site.parked || site.below_parked);
    }
}
