//! The questions, and the draft that their answers make. Asks no server, and writes nothing.

use std::path::{Path, PathBuf};

use towline::{
    config::{Config, ConfigError, Draft, Mode, PasswordSource, Remote, Trust, draft::Question},
    scan::Root,
};

use super::{
    Args,
    ask::Ask,
    password,
    target::{Target, tidy},
};
use crate::cli::{Exit, Failure};

/// Asks for what the command line does not say. The port and the mode in the draft are for now.
pub(super) async fn draft(ask: &mut Ask, args: &Args, given: Option<Target>, file: &Path) -> Result<(Draft, Target), Failure> {
    let target = match given {
        Some(target) => target,
        None => ask.value("Server (host, host:port or ftps://host)", None, "SERVER", Target::parse).await?,
    };
    let user = match args.user.clone().or_else(|| target.user.clone()) {
        Some(user) => user,
        None => ask.value("User", None, "--user USER", |text| Question::User.fit(text)).await?,
    };
    let source = match &args.dir {
        Some(dir) => source(dir).map_err(|expected| Failure::said(Exit::Usage, format_args!("--dir: expected {expected}")))?,
        None => ask.value("Directory here", None, "--dir DIR", |text| source(&home(text))).await?,
    };
    let path = match args.path.clone().or_else(|| target.path.clone()) {
        Some(path) => path,
        None => {
            ask.value("Directory on the server, such as /htdocs", None, "--path DIR", |text| Question::Path.fit(text)).await?
        }
    };
    let taken = existing(file)?;
    let remotes: Vec<&str> = taken.iter().flat_map(|config| config.remotes.keys().map(String::as_str)).collect();
    let mirrors: Vec<&str> = taken.iter().flat_map(|config| config.mirrors.iter().map(|mirror| mirror.name.as_str())).collect();
    let remote = name(ask, "remote", args.remote.as_deref(), &target.name(), &remotes, file).await?;
    let dir = source.file_name().map(|name| tidy(&name.to_string_lossy(), "site")).unwrap_or_else(|| "site".to_owned());
    let mirror = name(ask, "mirror", args.mirror.as_deref(), &dir, &mirrors, file).await?;
    let draft = Draft {
        password: PasswordSource::File(password::file(&remote, file)),
        remote,
        host: target.host.clone(),
        port: target.port.unwrap_or(Remote::DEFAULT_PORT),
        mode: Mode::Explicit,
        user,
        ca: args.ca.as_deref().map(std::path::absolute).transpose()?,
        pin: args.pin,
        trust: Trust::Chain,
        mirror,
        source,
        path,
    };
    Ok((draft, target))
}

/// The configuration that is there; none if its file is not.
fn existing(file: &Path) -> Result<Option<Config>, Failure> {
    match Config::load(file) {
        Ok(config) => Ok(Some(config)),
        Err(ConfigError::Read { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => {
            let hint = e.hint();
            Err(Failure::config(e).with_hint(hint))
        }
    }
}

/// A name that is free: the one that was said, or a likely one. One that is taken is not made another in silence.
async fn name(
    ask: &mut Ask,
    what: &str,
    said: Option<&str>,
    likely: &str,
    taken: &[&str],
    file: &Path,
) -> Result<String, Failure> {
    let name = said.unwrap_or(likely);
    if !taken.contains(&name) {
        return Ok(name.to_owned());
    }
    let flag = format!("--{what} NAME");
    if said.is_some() || !ask.somebody {
        let words = format!("{} has a {what} called {name:?} already; nothing was written", file.display());
        return Err(Failure::said(Exit::Config, words).with_hint(Some(format!(
            "call this one something else with {flag}; for another directory on the same server add a [[mirror]] to the file by hand"
        ))));
    }
    let free = |text: &str| match Question::Name.fit(text) {
        Ok(name) if taken.contains(&name.as_str()) => Err(format!("a name that no {what} has: {} are there", taken.join(", "))),
        fit => fit,
    };
    ask.value(&format!("There is a {what} called {name} already. A name for this one"), None, &flag, free).await
}

/// A directory here, as an absolute path.
fn source(dir: &Path) -> Result<PathBuf, String> {
    if dir.as_os_str().is_empty() {
        return Err("a directory".to_owned());
    }
    let dir: PathBuf = std::path::absolute(dir).map_err(|e| format!("a directory: {e}"))?.components().collect();
    if dir.to_str().is_none() {
        return Err("a directory whose path is UTF-8, as the configuration is".to_owned());
    }
    Root::open(&dir).map(|_| dir).map_err(|e| format!("a directory that can be read: {e}"))
}

/// What a shell would make of a path with `~` in front.
fn home(text: &str) -> PathBuf {
    let home = std::env::home_dir().filter(|_| text == "~" || text.starts_with("~/"));
    home.map_or_else(|| text.into(), |home| home.join(text.trim_start_matches('~').trim_start_matches('/')))
}
