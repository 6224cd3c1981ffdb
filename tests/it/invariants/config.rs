//! Any text as a configuration.

use std::{collections::BTreeSet, path::Path, time::Duration};

use towline::config::{Config, Origin, PasswordSource};

/// Where a byte 1 is in the input, a secret is in the text. Nothing in it is near to a key, or may be part of a name.
const SECRET: &str = "#s:e@c!r%e?t(";

/// Errors never hold what was written where a secret may be; what is accepted is right in itself.
pub fn config(data: &[u8]) {
    let text = String::from_utf8_lossy(data).replace('\u{1}', SECRET);
    let origin = Origin::new(Path::new("/etc/towline/towline.toml"), Some(Path::new("/home/ann")));
    let config = match Config::parse(&text, &origin) {
        Ok(config) => config,
        Err(error) => {
            let told = format!("{error}\n{error:?}\n{:?}", error.hint());
            assert!(!told.contains(SECRET), "{told}");
            assert!(told.len() < 64 * 1024 + 32 * text.len());
            return;
        }
    };
    assert_eq!(Config::parse(&text, &origin).as_ref().ok(), Some(&config));
    for (name, remote) in &config.remotes {
        assert_eq!(*name, remote.name);
        assert!(remote.port > 0 && (1..=32).contains(&remote.connections));
        assert!(!remote.host.is_empty() && !remote.user.is_empty());
        assert!(!remote.user.contains(['\r', '\n', '\0']));
        for wait in [remote.timeouts.connect, remote.timeouts.reply, remote.timeouts.stall] {
            assert!((Duration::from_secs(1)..=Duration::from_secs(600)).contains(&wait));
        }
        if let PasswordSource::Command(words) = &remote.password
            && !words[0].contains(SECRET)
        {
            assert!(!format!("{} {:?}", remote.password, remote.password).contains(SECRET));
        }
    }
    let names: BTreeSet<_> = config.mirrors.iter().map(|mirror| &mirror.name).collect();
    assert_eq!(names.len(), config.mirrors.len());
    for mirror in &config.mirrors {
        assert!(config.remotes.contains_key(&mirror.remote));
        assert!(mirror.source.is_absolute());
        assert!(mirror.path.starts_with('/') && !mirror.path.contains(['\r', '\n', '\0']));
        let mut components = mirror.path[1..].split('/');
        assert!(mirror.path == "/" || components.all(|c| !matches!(c, "" | "." | "..")), "{:?}", mirror.path);
        assert!(mirror.delete_budget.percent <= 100);
    }
}
