//! `towline plan`: what would be done, and why. Works on a copy of the state, so it disturbs no daemon.

use std::{
    io::{self, Write},
    path::Path,
};

use towline::{
    clock, config,
    index::{Index, Reader},
    mirror::{self, DryRunError, Seats, index_file},
    model::Operation,
    plan::Step,
};

use super::{Context, Exit, Failure, assemble, out::Out, show, signals::Signals};

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  towline plan site")]
pub(super) struct Args {
    /// Only these mirrors
    #[arg(value_name = "MIRROR")]
    mirrors: Vec<String>,
}

pub(super) async fn plan(mut context: Context, args: Args) -> Result<Exit, Failure> {
    let mut signals = Signals::new()?;
    let config = assemble::config(&context)?;
    let state_dir = assemble::state_dir(&context)?;
    let mut worst = Exit::Done;
    for mirror in assemble::select(&config, &args.mirrors)? {
        let planned = tokio::select! {
            planned = one(&mut context.out, &config, mirror, &state_dir) => planned,
            // The copy of the state must not stay behind.
            () = signals.received() => return Err(Failure::said(Exit::Failed, "interrupted")),
        };
        match planned {
            Err(failure) if !failure.is_closed_pipe() => {
                let _ = write!(io::stderr(), "{}", failure.of(&mirror.name));
                worst = worst.max(failure.exit);
            }
            planned => planned?,
        }
    }
    Ok(worst)
}

async fn one(out: &mut Out, config: &config::Config, mirror: &config::Mirror, state_dir: &Path) -> Result<(), Failure> {
    let neighbours = assemble::neighbours(config, mirror, state_dir);
    let settings = mirror::Settings { neighbours, ..assemble::settings(mirror, Seats::new(1), state_dir)? };
    let scratch = Scratch::new()?;
    let copy = scratch.0.join("plan.db");
    let original = index_file(state_dir, &mirror.name);
    // What may not be looked at is not taken for missing: the plan would be to send everything.
    let exists = original.try_exists().map_err(|e| {
        Failure::failed(anyhow::Error::new(e).context(format!("cannot read the state in {}", original.display())))
            .with_hint(Some("run it as the user that runs towline, or name another --state-dir"))
    })?;
    if exists {
        Reader::open(&original).and_then(|reader| reader.copy_to(&copy)).map_err(|e| Failure::state(&original, e))?;
    }
    let index = Index::open(&copy, clock::now()).map_err(|e| Failure::state(&copy, e))?;
    let mut lines = Vec::new();
    let abilities = assemble::known_abilities(config, mirror, state_dir);
    let run = mirror::dry_run(&settings, index, abilities, |step| lines.push(line(&step))).await.map_err(|e| {
        let hint = match &e {
            DryRunError::Index(e) => e.hint(),
            DryRunError::Root(e) => Some(e.hint()),
            DryRunError::Rules(_) | DryRunError::Scan(_) => None,
        };
        Failure::failed(e).with_hint(hint)
    })?;
    if run.left > 0 {
        lines.push(format!("leave {} on the server: gone here", show::count(run.left as u64, "name", "names")));
    }
    let does = match (lines.is_empty(), run.held) {
        (false, _) => "would",
        (true, 0) => "nothing to do",
        (true, _) => "nothing to do but what waits",
    };
    writeln!(out, "{}: {does}", mirror.name)?;
    for line in lines {
        writeln!(out, "  {line}")?;
    }
    if let Some(halt) = run.halt {
        writeln!(out, "  {} would wait: {halt}", show::count(run.held as u64, "removal", "removals"))?;
        writeln!(out, "    {}", halt.hint(&mirror.name))?;
    }
    for unseen in run.unseen {
        writeln!(out, "  unseen: {unseen}")?;
    }
    Ok(())
}

fn line(step: &Step) -> String {
    let operation = &step.operation;
    match operation {
        Operation::Put { path, print, like: Some(like), .. } if like.is_at(path) => {
            format!("{} what is new of {path} (of {}): {}", operation.verb(), show::bytes(print.size), step.why)
        }
        Operation::Put { path, print, like: Some(like), .. } => {
            format!("copy {like} -> {path} on the server ({}): {}", show::bytes(print.size), step.why)
        }
        Operation::Put { path, print, .. } => format!("{} {path} ({}): {}", operation.verb(), show::bytes(print.size), step.why),
        Operation::Rename { from, to, .. } | Operation::RenameDir { from, to, .. } => {
            format!("{} {from} -> {to}: {}", operation.verb(), step.why)
        }
        Operation::Rotate { path, others, .. } => {
            let names: Vec<String> = others.iter().chain([path]).map(ToString::to_string).collect();
            format!("{} {path} -> {}: {}", operation.verb(), names.join(" -> "), step.why)
        }
        _ => format!("{} {}: {}", operation.verb(), operation.path(), step.why),
    }
}

/// A private directory that goes away with its owner.
pub(super) struct Scratch(pub(super) std::path::PathBuf);

impl Scratch {
    pub(super) fn new() -> std::io::Result<Self> {
        use std::os::unix::fs::DirBuilderExt;
        let dir = std::env::temp_dir().join(format!("towline-plan-{}-{:08x}", std::process::id(), fastrand::u32(..)));
        std::fs::DirBuilder::new().mode(0o700).create(&dir)?;
        Ok(Self(dir))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
