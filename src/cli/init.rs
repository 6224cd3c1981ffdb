//! `towline init`: from a few questions to a mirror that works. It finds out how the server speaks TLS, shows whose certificate it is,
//! logs in, sends a test file and takes it away again by the code that mirrors, counts what there is to send, and only then writes
//! anything here. With all it needs on the command line it asks nothing.

mod answers;
mod ask;
mod find;
mod password;
mod target;
mod trial;
mod write;

use std::{io::Write as _, path::PathBuf};

use towline::config::{self, draft::Question};

use super::{Context, Exit, Failure};
use ask::Ask;
use password::Store;
use target::Target;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Nothing is written before a test file has been there and away again. An existing configuration is added to.\n\n\
                  Example:\n  towline init                                       asks for what it needs\n  \
                  towline init ftp.example.com --user deploy --dir ~/site --path /htdocs --password-stdin < pass"
)]
pub(super) struct Args {
    /// host, host:port, or a URL: ftps://host, ftpes://user@host:port/path
    server: Option<String>,
    /// The login name
    #[arg(long, value_parser = |text: &str| Question::User.fit(text))]
    user: Option<String>,
    /// The directory here
    #[arg(long)]
    dir: Option<PathBuf>,
    /// The directory on the server; it is made if it is missing
    #[arg(long, value_name = "DIR", value_parser = |text: &str| Question::Path.fit(text))]
    path: Option<String>,
    /// Trust this key, where no known authority vouches for the server
    #[arg(long, value_name = "sha256/...", value_parser = config::draft::pin)]
    pin: Option<[u8; 32]>,
    /// Trust the authorities in this PEM file, too
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// The password is in this file, and stays there (chmod 600)
    #[arg(long, value_name = "FILE", group = "given")]
    password_file: Option<PathBuf>,
    /// The password is in this environment variable
    #[arg(long, value_name = "VAR", group = "given", value_parser = |text: &str| Question::Variable.fit(text))]
    password_env: Option<String>,
    /// The password is the first line of standard input
    #[arg(long, group = "given")]
    password_stdin: bool,
    /// Where the daemon is to find it: beside the configuration, in a credential of systemd, in the variable, or in your keyring
    #[arg(long, value_name = "PLACE", default_value = "file", hide_default_value = true)]
    password_store: Store,
    /// What the server is called in the configuration [default: from its host]
    #[arg(long, value_name = "NAME", value_parser = |text: &str| Question::Name.fit(text))]
    remote: Option<String>,
    /// What the mirror is called [default: from the directory here]
    #[arg(long, value_name = "NAME", value_parser = |text: &str| Question::Name.fit(text))]
    mirror: Option<String>,
    /// Install and start Towline as your own service then, or as the machine's
    #[arg(long, value_name = "WHOSE")]
    service: Option<Service>,
    /// Ask nothing
    #[arg(long)]
    yes: bool,
}

/// Whose service is to be installed at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Service {
    User,
    System,
    None,
}

impl Args {
    /// Whether nothing that is needed is missing, so that nobody is to be asked.
    fn is_whole(&self, target: Option<&Target>) -> bool {
        let of_target = |part: fn(&Target) -> &Option<String>| target.is_some_and(|target| part(target).is_some());
        target.is_some()
            && self.dir.is_some()
            && (self.user.is_some() || of_target(|target| &target.user))
            && (self.path.is_some() || of_target(|target| &target.path))
            && (self.password_file.is_some() || self.password_env.is_some() || self.password_stdin)
    }
}

pub(super) async fn init(mut context: Context, args: Args) -> Result<Exit, Failure> {
    password::usable(&args)?;
    write::service_possible(&args)?;
    let given = args
        .server
        .as_deref()
        .map(Target::parse)
        .transpose()
        .map_err(|expected| Failure::said(Exit::Usage, format_args!("the server: expected {expected}")))?;
    let mut ask = Ask::new(args.yes || args.is_whole(given.as_ref()))?;
    let file = write::config_file(&context, &args)?;
    if ask.somebody {
        writeln!(
            context.out,
            "A directory here is to be kept equal on an FTPS server. Ctrl-C ends this and leaves nothing behind."
        )?;
    }
    let (mut draft, target) = answers::draft(&mut ask, &args, given, &file).await?;
    password::can_be_had(&ask, &args)?;
    // What stands in its way there is no use asking further for.
    write::fits(&draft, &args, &file)?;

    let remote = write::remote(&draft, &file)?;
    let found = ask.unless_interrupted(find::find(&target, &remote, &draft)).await?;
    (draft.mode, draft.port) = (found.door.mode, found.door.port);
    find::trust(&mut ask, &mut context.out, &mut draft, &args, &file, &found.presented).await?;

    let (entered, password) = trial::enter(&mut ask, &mut context.out, &args, &draft, &file).await?;
    let tried = trial::all(&mut ask, &mut context, &draft, &file, &entered).await;
    tried.map_err(|failure| entered.told(failure, &draft.path))?;
    let service = write::service(&mut ask, &args).await?;
    draft.password = password::place(&args, service, &draft.remote, &file)?;
    write::write(&mut context.out, &draft, &file, &args, service, &password)?;
    drop(password);
    write::finish(context, &draft, &file, service)
}
