//! "Did you mean": the nearest of some known names, and what to say of keys that people bring along from other programs and
//! that are left out on purpose. Not a search.

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

/// What to say of a key that would weaken encryption or verification elsewhere; `None` if it is not one of those.
pub(super) fn refusal(key: &str) -> Option<&'static str> {
    let key = key.to_ascii_lowercase().replace('-', "_");
    Some(match key.as_str() {
        "prot"
        | "protect"
        | "protection"
        | "prot_level"
        | "ssl_protect_data"
        | "protect_data"
        | "ccc"
        | "clear_command_channel" => {
            "there is no key for the protection of connections: commands and files are always encrypted (PROT P), since anybody \
             on the way could read and change them otherwise; the port of the server is `port`"
        }
        "verify"
        | "verify_certificate"
        | "ssl_verify"
        | "tls_verify"
        | "check_certificate"
        | "no_check_certificate"
        | "verify_ssl"
        | "ssl_verify_certificate"
        | "insecure"
        | "skip_verify"
        | "insecure_skip_verify"
        | "allow_insecure"
        | "allow_self_signed" => {
            "there is no key that turns encryption or verification off, since anybody could pose as the server then; for a \
             certificate that no public authority has signed use `tls.pin` or `tls.ca`"
        }
        "ssl" | "ftps" | "explicit" | "implicit" | "explicit_tls" | "encryption" | "secure" | "ssl_allow" | "ssl_force"
        | "force_ssl" => {
            "there is no key that turns encryption on or off: it is always on; how it starts is `mode`, \"explicit\" or \"implicit\""
        }
        _ => return None,
    })
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
    fn keys_that_are_left_out_on_purpose() {
        for key in ["verify", "insecure", "no_check_certificate", "no-check-certificate", "ssl_verify", "SSL-Verify"] {
            assert!(refusal(key).is_some_and(|words| words.contains("`tls.pin` or `tls.ca`")), "{key}");
        }
        assert!(refusal("prot").is_some_and(|words| words.contains("PROT P") && words.contains("`port`")));
        assert!(refusal("protect").is_some());
        for key in ["port", "host", "", "hunter2"] {
            assert_eq!(refusal(key), None);
        }
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
