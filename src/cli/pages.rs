//! `towline completions` and `towline man`: made from what the command line is, so that they cannot say anything else.

use std::{fs, io::Write, path::PathBuf};

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::{Cli, Context, Exit, Failure};

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  towline completions bash > ~/.local/share/bash-completion/completions/towline")]
pub(super) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  towline man --out ~/.local/share/man/man1")]
pub(super) struct ManArgs {
    /// The directory that the pages are written to; it is made if it is missing
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

pub(super) fn completions(mut context: Context, CompletionsArgs { shell }: &CompletionsArgs) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(*shell, &mut Cli::command(), "towline", &mut script);
    context.out.write_all(&script)?;
    Ok(Exit::Done)
}

pub(super) fn man(ManArgs { out }: &ManArgs) -> Result<Exit, Failure> {
    fs::create_dir_all(out)?;
    clap_mangen::generate_to(Cli::command(), out)?;
    Ok(Exit::Done)
}
