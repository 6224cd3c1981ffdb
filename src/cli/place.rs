//! Which mirror a path on the command line belongs to, and where it lies in it. Touches nothing.

use std::path::{Component, Path, PathBuf};

use towline::{
    config::{Config, Mirror},
    model::RelPath,
};

use super::{Exit, Failure, assemble};

/// A path in a mirror; `None` is the mirror's root.
#[derive(Debug)]
pub(super) struct Spot<'c> {
    pub(super) mirror: &'c Mirror,
    pub(super) path: Option<RelPath>,
}

/// Finds `path`: as a path on this machine, where it lies in a mirror's source; else as one below the source of `mirror`,
/// or of the only mirror.
///
/// # Errors
/// When it lies in no mirror, or nobody can say in which.
pub(super) fn find<'c>(config: &'c Config, path: &Path, mirror: Option<&str>) -> Result<Spot<'c>, Failure> {
    use std::os::unix::ffi::OsStrExt;
    let named = mirror.map(|name| assemble::select(config, &[name.to_owned()])).transpose()?;
    let mirrors: Vec<&Mirror> = named.unwrap_or_else(|| config.mirrors.iter().collect());
    // The innermost source, where one lies in another.
    let within = |mirror: &&'c Mirror| Some((below(path, &mirror.source)?, *mirror));
    let found = mirrors.iter().filter_map(within).min_by_key(|(rest, _)| rest.components().count());
    let (rest, mirror) = match (found, mirrors.as_slice()) {
        (Some(found), _) => found,
        (None, [only]) if path.is_relative() => (normal(path).ok_or_else(|| outside(path, &mirrors))?, *only),
        (None, _) => return Err(outside(path, &mirrors)),
    };
    if rest.as_os_str().is_empty() {
        return Ok(Spot { mirror, path: None });
    }
    let path = RelPath::new(rest.as_os_str().as_bytes()).map_err(Failure::usage)?;
    Ok(Spot { mirror, path: Some(path) })
}

fn outside(path: &Path, mirrors: &[&Mirror]) -> Failure {
    let sources: Vec<_> = mirrors.iter().map(|mirror| format!("{} ({})", mirror.source.display(), mirror.name)).collect();
    Failure::said(Exit::Usage, format_args!("{} lies in no mirror; mirrored are: {}", path.display(), sources.join(", ")))
        .with_hint(Some("name a path inside one of them, or with --mirror one below it"))
}

/// The rest of `path` below `source`: as they are spelled, else as they lie without links. A link at the path itself is not
/// followed.
fn below(path: &Path, source: &Path) -> Option<PathBuf> {
    let path = normal(&std::path::absolute(path).ok()?)?;
    if let Ok(rest) = path.strip_prefix(source) {
        return Some(rest.to_owned());
    }
    let source = source.canonicalize().ok()?;
    if let Ok(rest) = path.strip_prefix(&source) {
        return Some(rest.to_owned());
    }
    // What is gone is found by the nearest directory above it that is there.
    path.ancestors().skip(1).find_map(|dir| {
        let real = dir.canonicalize().ok()?;
        let rest = path.strip_prefix(dir).ok()?;
        Some(real.join(rest).strip_prefix(&source).ok()?.to_owned())
    })
}

/// Without `.` and `..`; nothing when it leads above where it begins.
fn normal(path: &Path) -> Option<PathBuf> {
    let mut made = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir if made.file_name().is_some() => drop(made.pop()),
            Component::ParentDir => return None,
            other => made.push(other),
        }
    }
    Some(made)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn config(dir: &Path, sources: &[(&str, &str)]) -> Config {
        let mut text = "[remote.r]\nhost = \"h\"\nuser = \"u\"\npassword = { env = \"P\" }\n".to_owned();
        for (name, source) in sources {
            text += &format!("[[mirror]]\nname = {name:?}\nsource = {source:?}\nremote = \"r\"\npath = \"/{name}\"\n");
        }
        let file = dir.join("towline.toml");
        std::fs::write(&file, text).unwrap();
        Config::load(&file).unwrap()
    }

    fn found(config: &Config, path: &Path, mirror: Option<&str>) -> Option<(String, String)> {
        let spot = find(config, path, mirror).ok()?;
        Some((spot.mirror.name.clone(), spot.path.map(|path| path.to_string()).unwrap_or_default()))
    }

    #[test]
    fn a_path_belongs_to_the_innermost_source_that_holds_it() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::create_dir_all(at("web/img/deep")).unwrap();
        symlink(at("web"), at("short")).unwrap();
        symlink("nothing", at("web/link")).unwrap();
        let config = config(dir.path(), &[("web", "web"), ("img", "web/img")]);
        let is = |path: PathBuf, mirror: &str, rest: &str| {
            assert_eq!(found(&config, &path, None), Some((mirror.to_owned(), rest.to_owned())), "{}", path.display());
        };
        is(at("web/a/b"), "web", "a/b");
        is(at("web/img/deep/x"), "img", "deep/x");
        is(at("web/img"), "img", "");
        is(at("web/x/../img/./y"), "img", "y");
        is(at("short/gone/too"), "web", "gone/too");
        is(at("web/link"), "web", "link");
        assert_eq!(found(&config, &at("elsewhere"), None), None);
        assert_eq!(found(&config, Path::new("a/b"), None), None, "nobody can say in which");
        assert_eq!(found(&config, Path::new("a/b"), Some("img")), Some(("img".into(), "a/b".into())));
        assert_eq!(found(&config, Path::new("../b"), Some("img")), None);
        assert_eq!(found(&config, Path::new("a"), Some("no such")), None);
    }

    #[test]
    fn the_only_mirror_is_meant_by_a_path_that_lies_nowhere() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("web")).unwrap();
        let config = config(dir.path(), &[("web", "web")]);
        assert_eq!(found(&config, Path::new("a//b/"), None), Some(("web".into(), "a/b".into())));
        assert_eq!(found(&config, Path::new("."), None), Some(("web".into(), String::new())));
        assert_eq!(found(&config, Path::new("/a/b"), None), None);
    }
}
