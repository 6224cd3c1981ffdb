//! `towline verify` and `towline adopt`: what the server really holds, against what is recorded, and against the local tree.
//!
//! `verify` runs beside a daemon: it reads the state, asks the server over a session of its own, and changes neither. Only
//! with `--repair` it writes: then it needs the state for itself, so that a running daemon has to be stopped first. What it
//! writes is what the server was found to hold; the sending is done by the next `sync` or `run`.
//!
//! With `--json` one object is printed. Keys may be added; these stay: `mirror`, `findings` (each with `path`, `what`:
//! `missing`, `other-kind`, `other-size`, `other-content`, `foreign`, `unproven`), and the figures of
//! [`towline::mirror::Verified`] or [`towline::mirror::Adopted`].

use std::{io::Write, path::Path, str::FromStr, sync::Arc};

use serde_json::json;
use towline::{
    clock, config,
    index::Reader,
    mirror::{self, Adopted, Adoption, AuditError, Deep, DryRunError, Finding, Progress, Verified, Verify, index_file},
    remote::{RemoteError, ftps::FtpsRemote},
};

use super::{
    Context, Exit, Failure, assemble,
    out::Out,
    progress::{Measure, Shown},
    show,
};

/// So many findings are put into the JSON; the figures count all.
const MOST: usize = 100_000;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  towline verify site                sizes, and content where the server computes checksums\n  \
                  towline verify site --deep         every file is read back\n  \
                  towline verify site --deep=5%      a twentieth of them\n  \
                  towline verify site --repair && towline sync site\n\n\
                  Exit codes: 0 all is as recorded, 3 something is not (or foreign, or could not be proven)"
)]
pub(super) struct VerifyArgs {
    /// The mirror's name
    mirror: String,
    /// Read files back: all, or a sample: a number of files, or a percentage
    #[arg(long, value_name = "SAMPLE", num_args = 0..=1, require_equals = true, default_missing_value = "all")]
    deep: Option<Depth>,
    /// Note what the server really holds, so that what is wrong is sent again; no daemon may run
    #[arg(long)]
    repair: bool,
    /// Everything, as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  towline adopt site && towline run        only what differs is sent\n  \
                  towline adopt site --trust-times         nothing is read back where size and time are equal")]
pub(super) struct AdoptArgs {
    /// The mirror's name
    mirror: String,
    /// Take a file of the same size and time for equal, where the server computes no checksums
    #[arg(long)]
    trust_times: bool,
    /// Everything, as JSON
    #[arg(long)]
    json: bool,
}

/// The value of `--deep`.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Depth(Deep);

impl FromStr for Depth {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "give `all`, a number of files, or a percentage such as 5%".to_owned();
        Ok(Self(match (text, text.strip_suffix('%')) {
            ("all", _) => Deep::Everything,
            (_, Some(percent)) => {
                let percent: f64 = percent.trim().parse().map_err(|_| wrong())?;
                if !(0.0..=100.0).contains(&percent) {
                    return Err(wrong());
                }
                Deep::Sample(percent / 100.0)
            }
            (files, None) => Deep::Some(files.parse().map_err(|_| wrong())?),
        }))
    }
}

pub(super) async fn verify(mut context: Context, args: VerifyArgs) -> Result<Exit, Failure> {
    let name = &args.mirror;
    let deep = args.deep.map_or(Deep::Nothing, |depth| depth.0);
    // How long it takes is a matter of bytes only where all of them are read.
    let measure = if deep == Deep::Everything { Measure::Bytes } else { Measure::Files };
    let progress = Arc::new(Progress::default());
    let mut told = Told::new(Out::new(), args.json);
    let summed = if args.repair {
        let house = assemble::House::open(&context).map_err(|e| stop_first(e, name))?;
        let mirror = house.mirrors(std::slice::from_ref(name))?[0];
        let file = existing(&house.state_dir, mirror)?;
        let index = house.index(mirror)?;
        let reader = index.reader().map_err(|e| Failure::state(&file, e))?;
        let settings = house.settings(mirror)?;
        let remote = looking(&house.config, mirror, &house.state_dir).await?;
        let how =
            Verify { place: settings.place(), deep, clock: clock::now, chance: fastrand::f64, progress: Arc::clone(&progress) };
        told.shown = Some(Shown::of(name, progress, measure));
        Box::pin(mirror::verify(&remote, reader, Some(index), &how, |finding| told.tell(finding))).await
    } else {
        let config = assemble::config(&context)?;
        let state_dir = assemble::state_dir(&context)?;
        let mirror = assemble::select(&config, std::slice::from_ref(name))?[0];
        let file = existing(&state_dir, mirror)?;
        let reader = Reader::open(&file).map_err(|e| Failure::state(&file, e))?;
        let settings = assemble::settings(mirror, mirror::Seats::new(1), &state_dir)?;
        let remote = looking(&config, mirror, &state_dir).await?;
        let how =
            Verify { place: settings.place(), deep, clock: clock::now, chance: fastrand::f64, progress: Arc::clone(&progress) };
        told.shown = Some(Shown::of(name, progress, measure));
        Box::pin(mirror::verify(&remote, reader, None, &how, |finding| told.tell(finding))).await
    };
    let findings = told.end()?;
    let sum = summed.map_err(failed)?;
    if args.json {
        print_json(&mut context.out, name, &findings, &sum)?;
    } else {
        write_verified(&mut context.out, name, &sum, args.repair)?;
    }
    Ok(if sum.is_fine() { Exit::Done } else { Exit::SomeFailed })
}

pub(super) async fn adopt(mut context: Context, args: AdoptArgs) -> Result<Exit, Failure> {
    let name = &args.mirror;
    let house = assemble::House::open(&context).map_err(|e| stop_first(e, name))?;
    let mirror = house.mirrors(std::slice::from_ref(name))?[0];
    let settings = house.settings(mirror)?;
    let index = house.index(mirror)?;
    // Probed where that is due: which checksums the server computes decides how much has to be read back.
    let remote = house.remote(mirror).await?;
    let mut told = Told::new(Out::new(), args.json);
    let how = Adoption { trust_times: args.trust_times };
    let summed = Box::pin(mirror::adopt(&*remote, &settings, index, how, |finding| told.tell(finding))).await;
    let findings = told.end()?;
    let sum = summed.map_err(failed)?;
    if args.json {
        print_json(&mut context.out, name, &findings, &sum)?;
    } else {
        write_adopted(&mut context.out, name, &sum)?;
    }
    Ok(if sum.unproven == 0 && sum.unseen.is_empty() { Exit::Done } else { Exit::SomeFailed })
}

/// The index of `mirror`, which must be there.
pub(super) fn existing(state_dir: &Path, mirror: &config::Mirror) -> Result<std::path::PathBuf, Failure> {
    let file = index_file(state_dir, &mirror.name);
    let exists = file.try_exists().map_err(|e| {
        Failure::failed(anyhow::Error::new(e).context(format!("cannot read the state in {}", file.display())))
            .with_hint(Some("run it as the user that runs towline, or name another --state-dir"))
    })?;
    if exists {
        return Ok(file);
    }
    Err(Failure::said(Exit::Failed, format_args!("nothing is recorded of the mirror {} in {}", mirror.name, state_dir.display()))
        .with_hint(Some("`towline adopt` takes over what is on the server; or is it another --state-dir?")))
}

/// The remote of `mirror`, over which nothing is changed.
pub(super) async fn looking(config: &config::Config, mirror: &config::Mirror, state_dir: &Path) -> Result<FtpsRemote, Failure> {
    let profiles = assemble::profiles(state_dir)?;
    let remote = assemble::known_server(assemble::remote_of(config, mirror)?, &mirror.path, &profiles).await?;
    Ok(remote.looking_only())
}

/// Of a failure of the remote, with what its kind exits with.
pub(super) fn unreachable(error: RemoteError) -> Failure {
    let (exit, hint) = (Exit::of(error.class), error.hint);
    Failure::new(exit, error).with_hint(hint)
}

fn failed(error: AuditError) -> Failure {
    match error {
        AuditError::Remote(error) => unreachable(error),
        AuditError::Index(error) => {
            let hint = error.hint();
            Failure::failed(error).with_hint(hint)
        }
        error @ AuditError::Elsewhere { .. } => Failure::failed(error)
            .with_hint(Some("`towline sync` sends everything there; `towline adopt` takes over what is there")),
        AuditError::Local(error) => {
            let hint = match &error {
                DryRunError::Index(e) => e.hint(),
                DryRunError::Root(e) => Some(e.hint()),
                DryRunError::Rules(_) | DryRunError::Scan(_) => None,
            };
            Failure::failed(error).with_hint(hint)
        }
    }
}

/// Somebody has the state: as a rule the daemon.
fn stop_first(failure: Failure, mirror: &str) -> Failure {
    if failure.cause().contains("another towline is running") {
        return failure.with_hint(Some(format!(
            "stop the daemon for as long as this takes; `towline verify {mirror}` alone does not need that"
        )));
    }
    failure
}

/// What is told while it goes on.
struct Told {
    out: Out,
    json: bool,
    kept: Vec<Finding>,
    result: std::io::Result<()>,
    /// What is to be out of the way meanwhile.
    shown: Option<Shown>,
}

impl Told {
    fn new(out: Out, json: bool) -> Self {
        Self { out, json, kept: Vec::new(), result: Ok(()), shown: None }
    }

    fn tell(&mut self, finding: &Finding) {
        if self.json {
            if self.kept.len() < MOST {
                self.kept.push(finding.clone());
            }
        } else if self.result.is_ok() {
            let out = &mut self.out;
            let mut print = || writeln!(out, "  {}: {}", finding.path, finding.what);
            self.result = match &self.shown {
                Some(shown) => shown.aside(&mut print),
                None => print(),
            };
        }
    }

    fn end(self) -> std::io::Result<Vec<Finding>> {
        self.result.map(|()| self.kept)
    }
}

fn print_json(out: &mut Out, mirror: &str, findings: &[Finding], sum: &impl serde::Serialize) -> Result<(), Failure> {
    let mut object = serde_json::to_value(sum).map_err(Failure::failed)?;
    object["mirror"] = json!(mirror);
    object["findings"] = serde_json::to_value(findings).map_err(Failure::failed)?;
    let json = serde_json::to_string_pretty(&object).map_err(Failure::failed)?;
    writeln!(out, "{json}")?;
    Ok(())
}

fn write_verified(out: &mut Out, name: &str, sum: &Verified, repair: bool) -> Result<(), Failure> {
    let ways = [(sum.by_checksum, "by the server's checksum"), (sum.by_reading, "read back"), (sum.by_size, "by size alone")];
    let ways: Vec<_> = ways.iter().filter(|(n, _)| *n > 0).map(|(n, how)| format!("{n} {how}")).collect();
    write!(out, "{name}: {} as recorded", show::count(sum.files, "file", "files"))?;
    if !ways.is_empty() {
        write!(out, " ({})", ways.join(", "))?;
    }
    let rest = [
        (sum.wrong, "wrong"),
        (sum.below, "in directories that are not there"),
        (sum.foreign, "foreign"),
        (sum.left, "left there on purpose"),
        (sum.unproven, "not proven"),
        (sum.moved_on, "changed meanwhile, left to the daemon"),
    ];
    for (n, what) in rest.iter().filter(|(n, _)| *n > 0) {
        write!(out, "; {n} {what}")?;
    }
    writeln!(out)?;
    if repair && sum.corrected > 0 {
        writeln!(
            out,
            "  {} noted: the next `towline sync {name}` or `towline run` sends them",
            show::count(sum.corrected, "path is", "paths are")
        )?;
    } else if sum.wrong > 0 && !repair {
        writeln!(out, "  `towline verify {name} --repair` notes that, so that it is sent again")?;
    }
    write_doubts(out, &sum.doubts, sum.doubtful)
}

/// Listings that may leave names out.
pub(super) fn write_doubts(out: &mut Out, doubts: &[(String, String)], all: u64) -> Result<(), Failure> {
    for (dir, why) in doubts {
        writeln!(out, "  doubtful listing of {dir}: {why}")?;
    }
    let more = all.saturating_sub(doubts.len() as u64);
    if more > 0 {
        writeln!(out, "  and {more} more")?;
    }
    Ok(())
}

fn write_adopted(out: &mut Out, name: &str, sum: &Adopted) -> Result<(), Failure> {
    for unseen in &sum.unseen {
        writeln!(out, "  unseen: {unseen}")?;
    }
    write!(out, "{name}: {} taken over ({})", show::count(sum.files, "file", "files"), show::bytes(sum.bytes))?;
    let rest = [
        (sum.by_checksum, "by the server's checksum"),
        (sum.by_time, "by time"),
        (sum.by_reading, "read back"),
        (sum.known, "known before"),
        (sum.different, "different"),
        (sum.missing, "missing on the server"),
        (sum.foreign, "foreign, left alone"),
        (sum.unproven, "not proven"),
    ];
    for (n, what) in rest.iter().filter(|(n, _)| *n > 0) {
        write!(out, "; {n} {what}")?;
    }
    writeln!(out)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_a_share_or_a_number() {
        for (text, deep) in [
            ("all", Some(Deep::Everything)),
            ("5%", Some(Deep::Sample(0.05))),
            ("100%", Some(Deep::Sample(1.0))),
            ("200", Some(Deep::Some(200))),
            ("101%", None),
            ("-1", None),
            ("%", None),
            ("NaN%", None),
            ("", None),
        ] {
            assert_eq!(text.parse().ok(), deep.map(Depth), "{text}");
        }
    }
}
