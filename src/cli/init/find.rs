//! How the server speaks TLS, and whether it is to be believed. Nothing of the account is sent here.

use std::{io::Write as _, path::Path, time::Duration};

use towline::{
    clock,
    config::{self, Draft, Mode, Trust},
    ftps::{CertificateProblem, Presented},
    mirror::Act,
    remote::Class,
};

use super::{
    Args,
    ask::Ask,
    target::{Door, Target},
    trial, write,
};
use crate::cli::{Exit, Failure, out::Out, trust};

/// So long a server may keep silent at a door that is not the last.
const SILENCE: Duration = Duration::from_secs(5);

/// A door that opens, and who stands behind it.
pub(super) struct Found {
    pub(super) door: Door,
    pub(super) presented: Presented,
}

/// Knocks at the doors of `target`, one after the other; `remote` says everything else.
pub(super) async fn find(target: &Target, remote: &config::Remote, draft: &Draft) -> Result<Found, Failure> {
    let doors = target.doors();
    let mut failures = Vec::new();
    for (number, door) in doors.iter().enumerate() {
        let patience = if number + 1 < doors.len() { SILENCE } else { remote.timeouts.reply };
        match knock(*door, remote, patience, draft).await? {
            Ok(found) => return Ok(found),
            Err(failure) => failures.push((*door, failure)),
        }
    }
    if let Some(door) = slow(&failures) {
        match knock(door, remote, remote.timeouts.reply, draft).await? {
            Ok(found) => return Ok(found),
            Err(failure) => failures.iter_mut().filter(|(known, _)| *known == door).for_each(|(_, old)| old.clone_from(&failure)),
        }
    }
    Err(closed(&target.host, &failures))
}

/// A door that stayed shut.
#[derive(Clone, Debug)]
struct Shut {
    class: Class,
    why: String,
    hint: Option<&'static str>,
}

/// Knocks at one door, and waits for so long.
async fn knock(door: Door, remote: &config::Remote, patience: Duration, draft: &Draft) -> Result<Result<Found, Shut>, Failure> {
    let mut remote = config::Remote { mode: door.mode, port: door.port, ..remote.clone() };
    remote.timeouts.reply = patience;
    match trust::look(&remote).await? {
        Ok(presented) => Ok(Ok(Found { door, presented })),
        // This is the door, but there is no room behind it now.
        Err(e) if e.class == Class::Busy => {
            let hint = trial::remedy(e.class, Act::Enter, draft);
            let error = anyhow::Error::new(e).context("nobody is let in; nothing was written");
            Err(Failure::new(Exit::Unavailable, error).with_hint(hint))
        }
        Err(e) => Ok(Err(Shut { class: e.class, why: e.to_string(), hint: e.hint })),
    }
}

/// A door where somebody may only have been slow: silent when asked for explicit TLS, and not speaking TLS at once either.
fn slow(failures: &[(Door, Shut)]) -> Option<Door> {
    let (door, _) = failures.iter().find(|(door, shut)| door.mode == Mode::Explicit && shut.class == Class::Transient)?;
    let other = failures.iter().find(|(other, _)| other.mode == Mode::Implicit && other.port == door.port)?;
    (other.1.class == Class::Tls).then_some(*door)
}

/// Why no door opened, in words; the advice is of the one that was nearest to it.
fn closed(host: &str, failures: &[(Door, Shut)]) -> Failure {
    let tried: Vec<_> = failures
        .iter()
        .map(|(door, shut)| {
            let mode = if door.mode == Mode::Explicit { "explicit" } else { "implicit" };
            format!("{mode} TLS on port {}: {}", door.port, shut.why)
        })
        .collect();
    let shut = || failures.iter().map(|(_, shut)| shut);
    let nearest = shut().find(|shut| shut.class != Class::Transient).or(shut().next());
    let exit = nearest.map_or(Exit::Unavailable, |shut| Exit::of(shut.class));
    let hint = nearest.and_then(|shut| shut.hint).unwrap_or("check the host, the port, and whether a firewall is in between");
    let words = format!("no FTPS server was found at {host}; {}; nothing was written", tried.join("; "));
    Failure::said(exit, words).with_hint(Some(hint))
}

/// Shows who the server is, and settles whether it is to be trusted: by an authority, or by its key where a person says so.
pub(super) async fn trust(
    ask: &mut Ask,
    out: &mut Out,
    draft: &mut Draft,
    args: &Args,
    file: &Path,
    presented: &Presented,
) -> Result<(), Failure> {
    let key: [u8; 32] = presented.pin.into();
    let vouched = presented.verification.is_ok();
    if !vouched && draft.pin == Some(key) {
        draft.trust = Trust::Pin;
    }
    let report = trust::Report::new(&write::remote(draft, file)?, presented, clock::now().0.div_euclid(1000));
    let how = if draft.mode == Mode::Explicit { "explicit TLS (AUTH TLS)" } else { "implicit TLS (with the first byte)" };
    writeln!(out, "found: {how} on port {}", draft.port)?;
    trust::print(out, &report)?;
    let why = presented.verification.as_ref().err().map(CertificateProblem::why).unwrap_or_default();
    match draft.pin {
        Some(pin) if pin != key => {
            let words = "the server's key is not the one of --pin; nothing was written, nor was the password sent";
            let hint = "if the operator confirms the pin above by another way, say that one; if not, somebody is in between";
            Err(Failure::said(Exit::Protocol, words).with_hint(Some(hint)))
        }
        Some(_) => Ok(()),
        None if vouched => Ok(()),
        None if ask.somebody => {
            writeln!(out, "No authority that is trusted here vouches for this server: {why}.")?;
            writeln!(out, "Compare the pin above with what the server's operator tells you, by another way.")?;
            if !ask.yes("Trust this key, and no other, from now on?").await? {
                return Err(Failure::said(Exit::Protocol, "not trusted; nothing was written, nor was the password sent")
                    .with_hint(args.ca.is_none().then_some("an authority of your own is trusted with --ca FILE")));
            }
            (draft.pin, draft.trust) = (Some(key), Trust::Pin);
            Ok(())
        }
        None => Err(Failure::said(
            Exit::Protocol,
            format_args!("the server's certificate is not trusted: {why}; nothing was written"),
        )
        .with_hint(Some(format!(
            "compare the pin above with what the server's operator tells you, by another way, then say --pin {}; or trust its \
                 authority with --ca FILE",
            report.pin
        )))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shut(mode: Mode, port: u16, class: Class, why: &str, hint: Option<&'static str>) -> (Door, Shut) {
        (Door { mode, port }, Shut { class, why: why.to_owned(), hint })
    }

    #[test]
    fn a_door_that_was_reached_has_the_word() {
        let failures = [
            shut(Mode::Explicit, 21, Class::Transient, "refused", Some("a firewall?")),
            shut(Mode::Implicit, 990, Class::Tls, "no TLS", Some("update it")),
        ];
        let failure = closed("h", &failures);
        assert_eq!((failure.exit, failure.hint()), (Exit::Protocol, Some("update it")));
        let words = "no FTPS server was found at h; explicit TLS on port 21: refused; implicit TLS on port 990: no TLS; nothing was written";
        assert_eq!(failure.cause(), words);
        assert_eq!(closed("h", &[]).exit, Exit::Unavailable);
    }

    #[test]
    fn a_slow_server_is_asked_again() {
        let explicit = |port, class| shut(Mode::Explicit, port, class, "", None);
        let implicit = |port, class| shut(Mode::Implicit, port, class, "", None);
        let door = Door { mode: Mode::Explicit, port: 2121 };
        assert_eq!(slow(&[explicit(2121, Class::Transient), implicit(2121, Class::Tls)]), Some(door));
        assert_eq!(slow(&[explicit(2121, Class::Transient), implicit(2121, Class::Transient)]), None, "nobody is there");
        assert_eq!(slow(&[explicit(2121, Class::Tls), implicit(2121, Class::Tls)]), None, "it has answered");
        assert_eq!(slow(&[explicit(21, Class::Transient), implicit(990, Class::Tls)]), None, "another door");
    }
}
