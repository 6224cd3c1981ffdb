//! The trial: the login, what the server can do, a test file there and away again, and how much there is to send. Nothing is written
//! here; on the server nothing is left but the mirror's directory, if it was missing.

use std::{fs, io::Write as _, path::Path};

use secrecy::SecretString;
use towline::{
    clock,
    config::Draft,
    ftps::{
        Profile, Verdict,
        doctor::{Grade, rows},
    },
    index::Index,
    mirror::{self, Act, RehearsalError, Seats},
    model::{Abilities, Operation, RelPath},
    remote::{Class, Remote as _, RemoteError, Session as _, ftps::FtpsRemote},
    scan::{Place, View},
};

use super::{Args, ask::Ask, password, write};
use crate::cli::{Context, Exit, Failure, assemble, doctor, out::Out, plan::Scratch, show};

/// So often a password can be typed.
const ATTEMPTS: usize = 3;

/// A server that let us in.
pub(super) struct Entered {
    server: FtpsRemote,
    /// The mirror's directory was not there.
    missing: bool,
}

impl Entered {
    /// A failure of the trial, and what is on the server now that was not before.
    pub(super) fn told(&self, failure: Failure, path: &str) -> Failure {
        if !self.missing {
            return failure;
        }
        let hint = failure.hint().map(|hint| format!("{hint}; ")).unwrap_or_default();
        failure.with_hint(Some(format!("{hint}the directory {path} was missing on the server, and may have been made")))
    }
}

/// Logs in, and looks at the mirror's directory without changing anything. A password that was typed wrong is asked for again.
pub(super) async fn enter(
    ask: &mut Ask,
    out: &mut Out,
    args: &Args,
    draft: &Draft,
    file: &Path,
) -> Result<(Entered, SecretString), Failure> {
    let remote = write::remote(draft, file)?;
    let mut attempt = 1;
    loop {
        let password = password::read(ask, args, &draft.user).await?;
        // Made anew each time: what a server says to the first login on it means the password, not a limit.
        let secrets = assemble::Secrets { password: password.clone(), key_password: None, proxy: None };
        let server = assemble::server(&remote, secrets, &draft.path, Profile::default(), |_| {})?;
        let looking = server.beside(draft.path.as_bytes()).map_err(Failure::config)?.looking_only();
        let looked = ask.unless_interrupted(Box::pin(async { Ok(look(&looking).await) })).await?;
        match looked {
            Ok((tls, held)) => {
                let missing = held == Held::Missing;
                let state = match held {
                    Held::Missing => format!("{} is missing, and is made", draft.path),
                    Held::Unlisted => format!("{} is there", draft.path),
                    Held::Names(0) => format!("{} is empty", draft.path),
                    Held::Names(n) => format!(
                        "{} holds {} already: what is not here stays, what differs is shown and not overwritten (`towline adopt {}` \
                         takes over what is equal)",
                        draft.path,
                        show::count(n, "name", "names"),
                        draft.mirror
                    ),
                };
                writeln!(out, "logged in over {tls}; {state}")?;
                return Ok((Entered { server, missing }, password));
            }
            Err(e) if e.class == Class::Auth && password::is_typed(ask, args) && attempt < ATTEMPTS => {
                attempt += 1;
                super::ask::say(&format!("  no login: {e}\n  check user and password, and try again\n"));
            }
            Err(e) => {
                let hint = remedy(e.class, Act::Enter, draft).or(e.hint.map(str::to_owned));
                let exit = exit(e.class);
                let error = anyhow::Error::new(e).context("no login; nothing was written");
                return Err(Failure::new(exit, error).with_hint(hint));
            }
        }
    }
}

/// What is in the mirror's directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Held {
    /// It is not there.
    Missing,
    /// So many names.
    Names(u64),
    /// It cannot be listed.
    Unlisted,
}

/// The version of TLS, and what is in the mirror's directory.
async fn look(looking: &FtpsRemote) -> Result<(&'static str, Held), RemoteError> {
    let mut session = match looking.connect().await {
        Ok(session) => session,
        // Past the login.
        Err(e) if e.class == Class::Refused => return Ok(("TLS", Held::Missing)),
        Err(e) => return Err(e),
    };
    let held = match session.list(None).await {
        Ok(listing) => {
            let theirs = listing.entries.iter().filter(|listed| !listed.name.starts_with(b".towline-"));
            Held::Names(theirs.count() as u64)
        }
        Err(_) => Held::Unlisted,
    };
    let tls = session.tls_version();
    session.close().await;
    Ok((tls, held))
}

/// The trial of a server that let us in.
pub(super) async fn all(
    ask: &mut Ask,
    context: &mut Context,
    draft: &Draft,
    file: &Path,
    entered: &Entered,
) -> Result<(), Failure> {
    let server = &entered.server;
    let examined = ask.unless_interrupted(Box::pin(async { Ok(server.examine(false, clock::now()).await) })).await?;
    let examined = examined.map_err(|e| {
        let hint = remedy(e.class, Act::Enter, draft).or(e.hint.map(str::to_owned));
        Failure::new(exit(e.class), e).with_hint(hint)
    })?;
    let can = examined.profile.probed.is_some_and(|probed| probed.verdict != Verdict::NoDirectory);
    if can {
        summary(&mut context.out, &examined.profile, &draft.remote)?;
    }
    let scratch = Scratch::new()?;
    // Not to be dropped half-way: it takes its file away again, and each of its waits has an end.
    rehearse(server, &scratch, draft).await?;
    writeln!(context.out, "a test file was sent to {}, proven, renamed and removed again", draft.path)?;
    ask.unless_interrupted(async { count(context, draft, file, &scratch).await }).await
}

/// What a server can do, where there is something to say of it.
fn summary(out: &mut Out, profile: &Profile, remote: &str) -> Result<(), Failure> {
    let rows = rows(profile);
    let weak: Vec<_> = rows.iter().filter(|row| row.grade == Grade::Weak).collect();
    let width = weak.iter().map(|row| row.what.chars().count()).max().unwrap_or(0);
    let looked = show::count(rows.len() as u64, "thing", "things");
    match weak.len() as u64 {
        0 => writeln!(out, "looked at {looked} that the server can do: no weakness was found")?,
        n => writeln!(out, "looked at {looked} that the server can do; {}:", show::count(n, "weakness", "weaknesses"))?,
    }
    for row in weak {
        doctor::print_row(out, row, width)?;
    }
    writeln!(out, "  `towline doctor {remote}` tells all")?;
    Ok(())
}

async fn rehearse(server: &FtpsRemote, scratch: &Scratch, draft: &Draft) -> Result<(), Failure> {
    let number = fastrand::u32(..);
    let here = scratch.0.join("rehearsal");
    fs::create_dir(&here)?;
    let name = |text: String| RelPath::new(text).map_err(Failure::failed);
    let (path, temp) = (name(format!(".towline-test-{number:08x}"))?, name(format!(".towline-test-{number:08x}.part"))?);
    fs::write(here.join(format!(".towline-test-{number:08x}")), "This is a test of towline init. It can be removed.\n")?;
    let place = Place { path: here, view: View::default() };
    Box::pin(mirror::rehearse(server, &place, &path, &temp, clock::now())).await.map_err(|e| failed(&e, draft))
}

/// What a failure of the test file is to be told as.
fn failed(error: &RehearsalError, draft: &Draft) -> Failure {
    let what = match error.act {
        Act::Enter => "the mirror's directory cannot be used",
        Act::Read => "the test file cannot be read",
        Act::Put => "the test file could not be sent",
        Act::Remove => "the test file was sent, but could not be removed again",
    };
    let left: Vec<_> = error.left.iter().map(|name| format!("{}/{name}", draft.path.trim_end_matches('/'))).collect();
    let hint = remedy(error.class, error.act, draft).or(error.hint.map(str::to_owned));
    let left = if left.is_empty() { String::new() } else { format!("; on the server may be left: {}", left.join(", ")) };
    Failure::said(exit(error.class), format_args!("{what}: {}; nothing was written here{left}", error.words)).with_hint(hint)
}

fn exit(class: Class) -> Exit {
    match class {
        // Not one path of many: nothing goes.
        Class::Full => Exit::Failed,
        class => Exit::of(class),
    }
}

/// What helps against a failure of this class, where it is another thing than for a mirror that runs. Pure.
pub(super) fn remedy(class: Class, act: Act, Draft { user, path, .. }: &Draft) -> Option<String> {
    Some(match (class, act) {
        (Class::Full, _) => "the server has no room, or the account is over its quota: free space there, or have the quota raised".into(),
        (Class::Busy, _) => {
            "the server takes no further connection of this account or from this address: end others, wait a few minutes, or have \
             its limit raised"
                .into()
        }
        (Class::Auth, _) => format!("check the user ({user}) and the password"),
        (Class::Refused, Act::Enter) => {
            format!("make {path} on the server and let the account {user} write to it, or choose another directory with --path")
        }
        (Class::Refused, Act::Put) => {
            format!("let the account {user} write to {path} on the server, and rename there; or choose another directory with --path")
        }
        (Class::Refused, Act::Remove) => format!("let the account {user} remove files in {path} on the server"),
        _ => return None,
    })
}

/// How much there is to send, by a dry run over no state.
async fn count(context: &mut Context, draft: &Draft, file: &Path, scratch: &Scratch) -> Result<(), Failure> {
    let config = draft.config(file).map_err(write::refused)?;
    let mirror = config.mirrors.iter().find(|mirror| mirror.name == draft.mirror);
    let mirror = mirror.ok_or_else(|| Failure::said(Exit::Failed, "the mirror that was drafted is not there"))?;
    let settings = assemble::settings(mirror, Seats::new(1), &assemble::state_dir(context)?)?;
    let state = scratch.0.join("plan.db");
    let index = Index::open(&state, clock::now()).map_err(|e| Failure::state(&state, e))?;
    let (mut files, mut dirs, mut bytes) = (0, 0, 0);
    let run = mirror::dry_run(&settings, index, Abilities::UNKNOWN, |step| match step.operation {
        Operation::Put { print, .. } => (files, bytes) = (files + 1, bytes + print.size),
        Operation::MakeDir { .. } => dirs += 1,
        _ => {}
    });
    let run = run.await.map_err(Failure::failed)?;
    let out = &mut context.out;
    let files_in_words = show::count(files, "file", "files");
    writeln!(out, "to be sent: {files_in_words} ({}), {}", show::bytes(bytes), show::count(dirs, "directory", "directories"))?;
    for unseen in run.unseen {
        writeln!(out, "  cannot be looked at: {unseen}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use towline::config::{Mode, PasswordSource, Trust};

    fn draft() -> Draft {
        Draft {
            remote: "web".into(),
            host: "h".into(),
            port: 21,
            mode: Mode::Explicit,
            user: "deploy".into(),
            password: PasswordSource::Env("P".into()),
            ca: None,
            pin: None,
            trust: Trust::Chain,
            mirror: "site".into(),
            source: "/s".into(),
            path: "/htdocs".into(),
        }
    }

    #[test]
    fn failures_name_their_remedy() {
        for (class, act, says) in [
            (Class::Full, Act::Put, "quota"),
            (Class::Busy, Act::Enter, "limit"),
            (Class::Auth, Act::Enter, "deploy"),
            (Class::Refused, Act::Enter, "make /htdocs"),
            (Class::Refused, Act::Put, "write to /htdocs"),
            (Class::Refused, Act::Remove, "remove files in /htdocs"),
        ] {
            assert!(remedy(class, act, &draft()).is_some_and(|words| words.contains(says)), "{class:?} {act:?}");
        }
        let error = RehearsalError {
            act: Act::Remove,
            class: Class::Refused,
            words: "550 no".into(),
            hint: None,
            left: vec![RelPath::new(".towline-test-1").expect("a path")],
        };
        let failure = failed(&error, &draft());
        assert!(failure.cause().contains("550 no") && failure.cause().contains("left: /htdocs/.towline-test-1"), "{failure}");
        assert_eq!(exit(Class::Full), Exit::Failed);
    }
}
