//! "Did you mean": the nearest of some known names. Not a search.

/// The name of `known` that `given` was most likely meant to be; `None` if none is near.
pub(super) fn nearest<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // A third of the letters may be wrong, one always.
    let limit = (given.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|name| (distance(given, name, limit), name))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// `` `a`, `b`, `c` ``.
pub(super) fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// How many letters have to be put in, taken out, changed or swapped with their neighbour (optimal string alignment), or
/// something above `limit`.
fn distance(a: &str, b: &str, limit: usize) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    if a.len().abs_diff(b.len()) > limit {
        return limit + 1;
    }
    let mut before = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 0..a.len() {
        let mut row = vec![i + 1];
        for j in 0..b.len() {
            let mut cost = (above[j] + usize::from(a[i] != b[j])).min(above[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && a[i] == b[j - 1] && a[i - 1] == b[j] {
                let swapped: &Vec<usize> = &before;
                cost = cost.min(swapped[j - 1] + 1);
            }
            row.push(cost);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (a, b, expected) in [
            ("", "", 0),
            ("host", "host", 0),
            ("hots", "host", 1),
            ("pasword", "password", 1),
            ("a", "", 1),
            ("", "abc", 3),
            ("kitten", "sitting", 3),
            ("ca", "abc", 3),
        ] {
            assert_eq!(distance(a, b, 9), expected, "{a} {b}");
            assert_eq!(distance(b, a, 9), expected, "{b} {a}");
        }
        assert!(distance("a", "a much longer name", 2) > 2);
    }

    #[test]
    fn the_nearest_or_none() {
        let known = ["host", "port", "password", "user"];
        assert_eq!(nearest("pasword", known), Some("password"));
        assert_eq!(nearest("prot", known), Some("port"));
        assert_eq!(nearest("hunter2", known), None);
        assert_eq!(nearest("", known), None);
        assert_eq!(nearest("x", []), None);
    }
}
