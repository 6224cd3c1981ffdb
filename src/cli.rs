//! The command line: one file per verb. The only place that prints: results to standard output, everything else to
//! standard error.

mod approve;
mod assemble;
mod check;
#[cfg(feature = "demo")]
mod demo;
mod doctor;
mod exit;
mod init;
mod log;
mod metrics;
mod out;
mod pages;
mod pause;
mod place;
mod plan;
mod progress;
mod queue;
mod reject;
mod reload;
mod restore;
mod retry;
mod run;
mod service;
mod show;
mod signals;
mod status;
mod sync;
mod top;
mod trust;
mod undo;
mod verify;
mod wait;
mod web;
mod why;

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Parser, Subcommand};

use exit::{Exit, Failure};
use out::Out;

/// Where the options of every verb are listed.
const GLOBAL: &str = "Options of every command";

/// Bytes for the calls of each thread of the runtime; what is not used is never had.
const STACK: usize = 8 << 20;

/// Keeps a directory on an FTPS server equal to a directory on this machine: continuously, encrypted, unattended.
#[derive(Debug, Parser)]
#[command(name = "towline", version, max_term_width = 100, propagate_version = true)]
#[command(
    after_help = "Example:\n  towline demo                 see it work: an embedded server, a real directory, no set-up\n  \
                        towline init                 set a mirror up, by a few questions\n  \
                        towline check --online       is the configuration right, and does the server let us in?\n  \
                        towline run                  mirror until stopped\n\n\
                        Exit codes: 0 done, 1 failed, 2 usage, 3 finished with some paths failed, 69 server unreachable,\n\
                        75 paused, nothing was tried, 76 TLS or protocol, 77 credentials refused, 78 configuration."
)]
struct Cli {
    /// The configuration file [default: $TOWLINE_CONFIG, ~/.config/towline/towline.toml, /etc/towline/towline.toml]
    #[arg(long, value_name = "FILE", global = true, help_heading = GLOBAL)]
    config: Option<PathBuf>,
    /// Where the state is kept [default: $STATE_DIRECTORY, ~/.local/state/towline]
    #[arg(long, value_name = "DIR", global = true, help_heading = GLOBAL)]
    state_dir: Option<PathBuf>,
    /// What is logged: error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL", global = true, help_heading = GLOBAL)]
    log: Option<String>,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// See it work: an embedded FTPS server, a sample directory, and edits
    #[cfg(feature = "demo")]
    Demo(demo::Args),
    /// Set a mirror up: a few questions, a trial on the server, then the configuration
    Init(init::Args),
    /// Check the configuration, and with --online each server
    Check(check::Args),
    /// Find out what a server can do, and what that means for its mirrors
    Doctor(doctor::Args),
    /// Show what would be done, and why, without touching the server
    Plan(plan::Args),
    /// Mirror once, then end: 0 done, 3 some paths failed
    Sync(sync::Args),
    /// Mirror until stopped
    #[command(
        after_help = "Example:\n  towline run                        SIGTERM or Ctrl-C ends it, SIGHUP reads the configuration anew\n  towline --log debug run            tells more"
    )]
    Run,
    /// Have the running daemon read its configuration anew
    Reload(reload::Args),
    /// Install, remove or show Towline as a service of this machine, or of yours
    Service(service::Args),
    /// Show what the running daemon does, or how one path is
    Status(status::Args),
    /// Watch all mirrors on one screen
    Top(top::Args),
    /// Show what is to be done, in order
    Queue(queue::Args),
    /// Show what was done, and what failed
    Log(log::Args),
    /// Open the web page: what the mirrors do, and buttons
    Web(web::Args),
    /// Print what Prometheus reads
    Metrics(metrics::Args),
    /// Start no job for a while, or until `resume`
    Pause(pause::PauseArgs),
    /// Go on after `pause`
    Resume(pause::ResumeArgs),
    /// Try again at once what failed
    Retry(retry::Args),
    /// Wait until a path, or everything, is on the server as it is here
    Wait(wait::Args),
    /// Say why a path is on the server, waits, is ignored or is skipped
    Why(why::Args),
    /// Release the removals that wait in a mirror
    Approve(approve::Args),
    /// Compare the server with what is recorded of it
    Verify(verify::VerifyArgs),
    /// Bring files back from the server
    Restore(restore::Args),
    /// Take over a server directory that holds the files already
    Adopt(verify::AdoptArgs),
    /// Drop the removals that wait in a mirror: the files stay on the server
    Reject(reject::Args),
    /// Put back what was removed, from the trash on the server
    Undo(undo::Args),
    /// Show the certificate of a server, and with --pin trust its key
    Trust(trust::Args),
    /// Print the completions for a shell
    Completions(pages::CompletionsArgs),
    /// Write the manual pages
    Man(pages::ManArgs),
}

/// What every verb gets besides its own arguments.
struct Context {
    config: Option<PathBuf>,
    state_dir: Option<PathBuf>,
    out: Out,
}

impl Context {
    fn env(name: &str) -> Option<std::ffi::OsString> {
        std::env::var_os(name)
    }
}

/// Keeps what is in memory, passwords above all, from core files and from other programs of the same user.
fn keep_to_itself() {
    #[cfg(target_os = "linux")]
    // Where that is not allowed it is as it was.
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
}

/// Runs the program.
pub(crate) fn main() -> ExitCode {
    keep_to_itself();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => {
            let _ = e.print();
            return if e.use_stderr() { Exit::Usage.into() } else { ExitCode::SUCCESS };
        }
    };
    match act(cli) {
        Ok(exit) => exit.into(),
        Err(failure) if failure.is_closed_pipe() => ExitCode::SUCCESS,
        Err(failure) => {
            let _ = write!(io::stderr(), "{failure}");
            failure.exit.into()
        }
    }
}

fn act(cli: Cli) -> Result<Exit, Failure> {
    let level = cli.log.unwrap_or_else(|| if matches!(cli.verb, Verb::Run) { "info" } else { "warn" }.to_owned());
    towline::telemetry::start(&level).map_err(Failure::usage)?;
    let context = Context { config: cli.config, state_dir: cli.state_dir, out: Out::new() };
    // A session that finds something out in the middle of an upload is many calls deep; without optimization each takes much room.
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().thread_stack_size(STACK).build().map_err(Failure::failed)?;
    let result = runtime.block_on(async {
        match cli.verb {
            #[cfg(feature = "demo")]
            Verb::Demo(args) => demo::demo(context, args).await,
            Verb::Init(args) => Box::pin(init::init(context, args)).await,
            Verb::Check(args) => check::check(context, args).await,
            Verb::Doctor(args) => doctor::doctor(context, args).await,
            Verb::Plan(args) => plan::plan(context, args).await,
            Verb::Sync(args) => sync::sync(context, args).await,
            Verb::Run => run::run(context).await,
            Verb::Reload(args) => reload::reload(context, args).await,
            Verb::Service(args) => service::service(context, args).await,
            Verb::Status(args) => status::status(context, args).await,
            Verb::Top(args) => top::top(context, args).await,
            Verb::Queue(args) => queue::queue(context, args).await,
            Verb::Log(args) => log::log(context, args).await,
            Verb::Web(args) => web::web(context, args).await,
            Verb::Metrics(args) => metrics::metrics(context, args).await,
            Verb::Pause(args) => pause::pause(context, args).await,
            Verb::Resume(args) => pause::resume(context, args).await,
            Verb::Retry(args) => retry::retry(context, args).await,
            Verb::Wait(args) => wait::wait(context, args).await,
            Verb::Why(args) => why::why(context, args).await,
            Verb::Reject(args) => reject::reject(context, args).await,
            Verb::Approve(args) => approve::approve(context, args).await,
            Verb::Verify(args) => Box::pin(verify::verify(context, args)).await,
            Verb::Restore(args) => Box::pin(restore::restore(context, args)).await,
            Verb::Adopt(args) => Box::pin(verify::adopt(context, args)).await,
            Verb::Undo(args) => undo::undo(context, args).await,
            Verb::Trust(args) => trust::trust(context, args).await,
            Verb::Completions(args) => pages::completions(context, &args),
            Verb::Man(args) => pages::man(&args),
        }
    });
    // A reading thread that hangs on a dead disk must not hold up the end.
    runtime.shutdown_background();
    result
}
