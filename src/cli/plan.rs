//! `towline plan`: what would be done, and why. Works on a copy of the state, so it disturbs no daemon.

use std::io::Write;

use towline::{
    clock,
    index::{Index, Reader},
    mirror::{self, index_file},
    model::Operation,
    plan::Step,
};

use super::{Context, Exit, Failure, assemble, show};

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  towline plan site")]
pub(super) struct Args {
    /// Only these mirrors
    #[arg(value_name = "MIRROR")]
    mirrors: Vec<String>,
}

pub(super) async fn plan(mut context: Context, args: Args) -> Result<Exit, Failure> {
    let config = assemble::config(&context)?;
    let state_dir = assemble::state_dir(&context)?;
    for mirror in assemble::select(&config, &args.mirrors)? {
        let scratch = Scratch::new().map_err(Failure::failed)?;
        let copy = scratch.0.join("plan.db");
        let original = index_file(&state_dir, &mirror.name);
        if original.exists() {
            Reader::open(&original).and_then(|reader| reader.copy_to(&copy)).map_err(Failure::failed)?;
        }
        let index = Index::open(&copy, clock::now()).map_err(Failure::failed)?;
        let mut lines = Vec::new();
        let run = mirror::dry_run(&assemble::settings(mirror, 1), index, |step| lines.push(line(&step)))
            .await
            .map_err(|e| Failure::failed(e).with_hint(None::<String>))?;
        writeln!(context.out, "{}: {}", mirror.name, if lines.is_empty() { "nothing to do" } else { "would" })?;
        for line in lines {
            writeln!(context.out, "  {line}")?;
        }
        if let Some(halt) = run.halt {
            writeln!(context.out, "  {} wait: {halt}", show::count(run.held as u64, "removal", "removals"))?;
        }
        for unseen in run.unseen {
            writeln!(context.out, "  unseen: {unseen}")?;
        }
    }
    Ok(Exit::Done)
}

fn line(step: &Step) -> String {
    let operation = &step.operation;
    match operation {
        Operation::Put { path, print, .. } => format!("{} {path} ({}): {}", operation.verb(), show::bytes(print.size), step.why),
        Operation::Rename { from, to, .. } => format!("{} {from} -> {to}: {}", operation.verb(), step.why),
        _ => format!("{} {}: {}", operation.verb(), operation.path(), step.why),
    }
}

/// A private directory that goes away with its owner.
struct Scratch(std::path::PathBuf);

impl Scratch {
    fn new() -> std::io::Result<Self> {
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
