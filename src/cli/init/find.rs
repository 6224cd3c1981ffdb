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
        let mut remote = config::Remote { mode: door.mode, port: door.port, ..remote.clone() };
        if number + 1 < doors.len() {
            remote.timeouts.reply = SILENCE;
        }
        match trust::look(&remote).await? {
            Ok(presented) => return Ok(Found { door: *door, presented }),
            // This is the door, but there is no room behind it now.
            Err(e) if e.class == Class::Busy => {
                let hint = trial::remedy(e.class, Act::Enter, draft);
                let error = anyhow::Error::new(e).context("nobody is let in; nothing was written");
                return Err(Failure::new(Exit::Unavailable, error).with_hint(hint));
            }
            Err(e) => {
                let (class, hint) = (e.class, e.hint);
                failures.push((*door, Failure::new(Exit::of(class), e).with_hint(hint)));
            }
        }
    }
    Err(closed(&target.host, &failures))
}

/// Why no door opened, in words; the advice is of the one that was nearest to it.
fn closed(host: &str, failures: &[(Door, Failure)]) -> Failure {
    let tried: Vec<_> = failures
        .iter()
        .map(|(door, failure)| {
            let mode = if door.mode == Mode::Explicit { "explicit" } else { "implicit" };
            format!("{mode} TLS on port {}: {}", door.port, failure.cause())
        })
        .collect();
    let reached = |failure: &Failure| failure.exit == Exit::Protocol;
    let nearest = failures.iter().map(|(_, failure)| failure).find(|failure| reached(failure));
    let nearest = nearest.or(failures.first().map(|(_, failure)| failure));
    let exit = nearest.map_or(Exit::Unavailable, |failure| failure.exit);
    let hint =
        nearest.and_then(Failure::hint).unwrap_or("check the host, the port, and whether a firewall is in between").to_owned();
    Failure::said(exit, format_args!("no FTPS server was found at {host}; {}; nothing was written", tried.join("; ")))
        .with_hint(Some(hint))
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

    #[test]
    fn a_door_that_was_reached_has_the_word() {
        let door = |mode, port| Door { mode, port };
        let failures = vec![
            (door(Mode::Explicit, 21), Failure::said(Exit::Unavailable, "refused").with_hint(Some("a firewall?"))),
            (door(Mode::Implicit, 990), Failure::said(Exit::Protocol, "no TLS").with_hint(Some("update it"))),
        ];
        let failure = closed("h", &failures);
        assert_eq!((failure.exit, failure.hint()), (Exit::Protocol, Some("update it")));
        let words = "no FTPS server was found at h; explicit TLS on port 21: refused; implicit TLS on port 990: no TLS; nothing was written";
        assert_eq!(failure.cause(), words);
        assert_eq!(closed("h", &[]).exit, Exit::Unavailable);
    }
}
