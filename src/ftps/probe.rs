//! Finds out what a server can do by doing it, in a scratch directory that is removed again. What there is to try is in
//! `probe/steps.rs`, as values; here it is talked through. What the findings are good for is decided elsewhere.

mod fingerprint;
mod scratch;
mod steps;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, timeout, timeout_at},
};
use tracing::{debug, info, warn};

use super::{
    client::Client,
    data::Beside,
    dial::Dial,
    error::Error,
    profile::{Dotfiles, Lost, Probed, Profile, Verdict},
    proto::{Command, Encoding, Extra, Features, ListedKind, Pathname, Reply, listing::Format, transfer::Failure},
};
use crate::model::UnixMillis;
use scratch::{APPENDED, BEHIND, BODY, COPY, DOT, FILE, LINK, RESTARTED, Scratch, TO, UPPER, is_ours};
use steps::{Act, Answer, Entry, Form, How, Known, TABLE};

/// What all steps together may take.
const LIMIT: Duration = Duration::from_secs(90);
/// What tidying up may take.
const TIDY: Duration = Duration::from_secs(30);
/// How many connections it may cost.
const MAX_LOST: u32 = 3;
/// How long it is waited for a place on the server that somebody else took in between; the second time twice as long.
const TURNED_AWAY: Duration = Duration::from_secs(1);
/// How often.
const TURNED_AWAY_TIMES: u32 = 4;
/// How many names of a scratch directory are removed: a probe makes fewer.
const MAX_NAMES: usize = 64;

impl<D: Dial> Client<D> {
    /// Probes the server if it is not known yet, or not the one that it was, in a scratch directory in `base` (absolute, there):
    /// for what uploads need, since they wait for it. Not while another conversation does; that it did is told. The conversation
    /// can be used afterwards.
    ///
    /// # Errors
    /// When the connection is lost and cannot be had again. A server that refuses things is no error.
    pub async fn probe_if_due(&mut self, base: &[u8], now: UnixMillis) -> Result<bool, Error> {
        let fingerprint = self.fingerprint();
        let endpoint = Arc::clone(&self.endpoint);
        let Ok(_alone) = endpoint.probing.try_lock() else { return Ok(false) };
        if !fingerprint::is_due(endpoint.profile().probed, fingerprint, now) {
            self.clear(base).await?;
            return Ok(false);
        }
        Box::pin(self.probe(base, now, Extent::Needed)).await?;
        Ok(true)
    }

    /// As [`Self::probe_if_due`], for all that there is to know: what that one left for later, too.
    ///
    /// # Errors
    /// As for that one.
    pub async fn study(&mut self, base: &[u8], now: UnixMillis) -> Result<(), Error> {
        let endpoint = Arc::clone(&self.endpoint);
        let _alone = endpoint.probing.lock().await;
        let (probed, fingerprint) = (endpoint.profile().probed, self.fingerprint());
        if fingerprint::is_due(probed, fingerprint, now) {
            Box::pin(self.probe(base, now, Extent::All)).await
        } else if fingerprint::is_begun(probed, fingerprint) {
            Box::pin(self.probe(base, now, Extent::Rest)).await
        } else {
            self.clear(base).await
        }
    }

    /// Probes the server for everything, whatever is known, and forgets the rest.
    ///
    /// # Errors
    /// As for [`Self::probe_if_due`].
    pub async fn probe_afresh(&mut self, base: &[u8], now: UnixMillis) -> Result<(), Error> {
        let endpoint = Arc::clone(&self.endpoint);
        let _alone = endpoint.probing.lock().await;
        endpoint.learn(|profile| *profile = profile.unprobed());
        Box::pin(self.probe(base, now, Extent::All)).await
    }

    fn fingerprint(&self) -> u64 {
        fingerprint::fingerprint(&self.connection.greeting, &self.connection.features)
    }

    async fn probe(&mut self, base: &[u8], now: UnixMillis, extent: Extent) -> Result<(), Error> {
        let fingerprint = self.fingerprint();
        let endpoint = Arc::clone(&self.endpoint);
        let known = endpoint.profile();
        let is_same = known.probed.is_some_and(|probed| probed.fingerprint == fingerprint);
        let found = match extent {
            Extent::Rest => known,
            _ => Profile { lost: if is_same { known.lost } else { Lost::default() }, ..Profile::default() },
        };
        debug!(target: "towline::ftps", "probing the server");
        let mut run = Run::new(self, found);
        let (verdict, end) = match Scratch::below(base) {
            Ok(scratch) => {
                let number = scratch.number();
                endpoint.learn(|profile| profile.scratch_left = profile.scratch_left.or(Some(number)));
                let (verdict, tidied) = Box::pin(run.all(&scratch, extent)).await;
                if matches!(tidied, Ok(true)) {
                    endpoint.learn(|profile| profile.scratch_left = profile.scratch_left.filter(|left| *left != number));
                }
                (verdict, tidied.map(drop))
            }
            Err(_) => (Verdict::NoDirectory, Ok(())),
        };
        let found = run.found;
        // Noted even if the connection is gone for good: what cost it is not tried at the next login.
        let probed = Some(Probed { at: now, fingerprint, verdict });
        endpoint.learn(|profile| *profile = profile.with_probed(Profile { probed, ..found }));
        // This conversation began when nothing was known.
        self.connection.control.set_encoding(endpoint.encoding());
        let what = if extent == Extent::Rest { "found out what else the server can do" } else { "probed the server" };
        info!(target: "towline::ftps", server = endpoint.dial.name(), ?verdict, "{what}");
        end
    }

    /// Removes what an earlier probe below `base` had to leave. Tried once: a server that hangs up at it is not to do so at
    /// every login.
    async fn clear(&mut self, base: &[u8]) -> Result<(), Error> {
        let Ok(scratch) = Scratch::below(base) else { return Ok(()) };
        let profile = self.endpoint.profile();
        if profile.scratch_left != Some(scratch.number()) {
            return Ok(());
        }
        self.endpoint.learn(|profile| profile.scratch_left = None);
        Run::new(self, profile).tidy(&scratch).await?;
        Ok(())
    }

    /// Goes on with a fresh connection. Where only so many are let in, somebody else may have had the place of the last one.
    async fn reconnect(&mut self) -> Result<(), Error> {
        let mut turned_away = 0;
        loop {
            match self.endpoint.log_in().await {
                Ok(connection) => {
                    *self.connection = connection;
                    return Ok(());
                }
                Err(error) if error.is_turned_away() && turned_away < TURNED_AWAY_TIMES => {
                    sleep(TURNED_AWAY * 2_u32.pow(turned_away)).await;
                    turned_away += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// How much is to be found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extent {
    /// What cannot wait.
    Needed,
    /// What could.
    Rest,
    All,
}

impl Extent {
    fn has(self, entry: &Entry, features: &Features) -> bool {
        match self {
            Self::Needed => !(entry.waits)(features),
            Self::Rest => (entry.waits)(features),
            Self::All => true,
        }
    }
}

/// A probe on its way.
struct Run<'a, D: Dial> {
    client: &'a mut Client<D>,
    found: Profile,
    /// Connections lost so far.
    losses: u32,
    deadline: Instant,
}

/// Why an act has no answer: the connection cannot be used any more.
struct Gone(Error);

impl<'a, D: Dial> Run<'a, D> {
    fn new(client: &'a mut Client<D>, found: Profile) -> Self {
        Self { client, found, losses: 0, deadline: Instant::now() + LIMIT }
    }

    /// Makes the directory, takes all steps of the `extent`, and tidies up, and says whether nothing is left; an error is a
    /// connection that could not be had again.
    async fn all(&mut self, scratch: &Scratch, extent: Extent) -> (Verdict, Result<bool, Error>) {
        let begun = match timeout_at(self.deadline, Box::pin(self.begin(scratch))).await {
            Ok(Ok(begun)) => begun,
            Ok(Err(Gone(error))) => {
                warn!(target: "towline::ftps", %error, "the probe of the server could not begin");
                return (Verdict::CutShort, self.tidy_anew(scratch).await);
            }
            Err(_) => return (Verdict::CutShort, self.tidy_anew(scratch).await),
        };
        if !begun {
            return (Verdict::NoDirectory, self.tidy(scratch).await);
        }
        let features = self.client.connection.features.clone();
        let mut todo = TABLE.iter().filter(|entry| extent.has(entry, &features));
        let mut next = todo.next();
        while let Some(entry) = next {
            if self.found.lost.has(entry.step) {
                next = todo.next();
                continue;
            }
            let taken = timeout_at(self.deadline, Box::pin(self.take(scratch, entry))).await;
            let Ok(taken) = taken else { return (Verdict::CutShort, self.tidy_anew(scratch).await) };
            let Err(Gone(error)) = taken else {
                next = todo.next();
                continue;
            };
            debug!(target: "towline::ftps", step = ?entry.step, %error, "this step of the probe cost the connection");
            // What was no fault of the step's (other TLS versions need another login) is no reason to leave it out.
            if !error.is_of_login() {
                self.found.lost.add(entry.step);
            }
            self.losses += 1;
            if self.losses > MAX_LOST {
                return (Verdict::CutShort, self.tidy_anew(scratch).await);
            }
            if let Err(error) = self.client.reconnect().await {
                return (Verdict::CutShort, Err(error));
            }
        }
        let verdict = if extent == Extent::Needed { Verdict::Begun } else { Verdict::Complete };
        (verdict, self.tidy(scratch).await)
    }

    /// Makes the directory and the file in it; `false` if the server will not have it. What an earlier probe left is removed.
    async fn begin(&mut self, scratch: &Scratch) -> Result<bool, Gone> {
        let made = self.say(Command::MakeDir(scratch.dir().clone())).await?;
        if !made.is_positive() {
            self.empty(scratch).await?;
            if !self.is_dir(scratch.dir()).await? {
                debug!(target: "towline::ftps", reply = %made, "the scratch directory cannot be made");
                return Ok(false);
            }
        }
        Ok(self.put(How::Store, scratch.at(FILE).map_err(gone)?, BODY).await? == Answer::Stored)
    }

    async fn take(&mut self, scratch: &Scratch, entry: &Entry) -> Result<(), Gone> {
        let features = self.client.connection.features.clone();
        let acts = (entry.asks)(&Known { scratch, features: &features, found: &self.found }).map_err(gone)?;
        let mut answers = Vec::with_capacity(acts.len());
        let (mut said, mut said_in) = (Vec::new(), self.client.encoding());
        for act in &acts {
            if let Some((encoding, command)) = act.said(self.client.encoding()) {
                if encoding != said_in {
                    answers.extend(self.say_all(&mut said, said_in).await?);
                    said_in = encoding;
                }
                said.push(command.clone());
                continue;
            }
            answers.extend(self.say_all(&mut said, said_in).await?);
            answers.push(Box::pin(self.act(scratch, act)).await?);
        }
        answers.extend(self.say_all(&mut said, said_in).await?);
        if !acts.is_empty() {
            (entry.reads)(&answers, &mut self.found);
        }
        Ok(())
    }

    async fn act(&mut self, scratch: &Scratch, act: &Act) -> Result<Answer, Gone> {
        match act {
            Act::Say(command) => Ok(Answer::Reply(self.say(command.clone()).await?)),
            Act::SayAs(encoding, command) => {
                let told = self.say_all(&mut vec![command.clone()], *encoding).await?;
                Ok(told.into_iter().next().unwrap_or(Answer::Odd))
            }
            Act::Flight(commands) => {
                let replies = self.client.connection.control.flight(commands).await.map_err(Gone)?;
                Ok(Answer::Replies(replies))
            }
            Act::Put(how, path, body) => self.put(*how, path.clone(), body).await,
            Act::PutAsking(path, body, commands) => {
                let beside = Beside { behind: commands.clone(), ..Beside::default() };
                self.put_by(beside, None, Command::Stor(path.clone()), body).await
            }
            Act::Size(path) => answer(self.client.size(path).await.map(Answer::Size)),
            Act::Find(path) => answer(self.client.find(path).await.map(|found| Answer::Found(found.is_some()))),
            Act::List(form) => self.list(scratch.dir(), *form).await,
        }
    }

    /// Says all of `commands`, which are taken, with paths encoded in this way: in flights, once it is known that those are
    /// answered in order.
    async fn say_all(&mut self, commands: &mut Vec<Command>, encoding: Encoding) -> Result<Vec<Answer>, Gone> {
        let before = self.client.encoding();
        self.client.connection.control.set_encoding(encoding);
        let told = self.say_in_flights(commands).await;
        self.client.connection.control.set_encoding(before);
        told
    }

    async fn say_in_flights(&mut self, commands: &mut Vec<Command>) -> Result<Vec<Answer>, Gone> {
        let mut answers = Vec::with_capacity(commands.len());
        let mut commands = commands.drain(..).peekable();
        while let Some(command) = commands.next() {
            let mut flight = vec![command];
            while self.found.in_order == Some(true)
                && let Some(next) = commands.next_if(|next| self.client.has_room(&flight, next))
            {
                flight.push(next);
            }
            let replies = self.client.connection.control.flight(&flight).await.map_err(Gone)?;
            if let Some(last) = replies.iter().find(|reply| reply.code == 421) {
                return Err(Gone(Error::Closed { idle: false, last: Some(last.clone()) }));
            }
            answers.extend(replies.into_iter().map(Answer::Reply));
        }
        Ok(answers)
    }

    /// A closing connection is a lost one, even if it says so.
    async fn say(&mut self, command: Command) -> Result<Reply, Gone> {
        let reply = self.client.command(&command).await.map_err(Gone)?;
        if reply.code == 421 { Err(Gone(Error::Closed { idle: false, last: Some(reply) })) } else { Ok(reply) }
    }

    async fn put(&mut self, how: How, path: Pathname, body: &'static [u8]) -> Result<Answer, Gone> {
        let (first, command) = match how {
            How::Store => (None, Command::Stor(path)),
            How::Append => (None, Command::Extra(Extra::Append(path))),
            How::Behind(at) => (Some(Command::Extra(Extra::Restart(at))), Command::Stor(path)),
        };
        self.put_by(Beside::default(), first, command, body).await
    }

    /// Stores a body by `command`. The answer to what was said behind it, if that came in order; else that it is stored.
    async fn put_by(
        &mut self,
        mut beside: Beside,
        first: Option<Command>,
        command: Command,
        body: &'static [u8],
    ) -> Result<Answer, Gone> {
        let mut open = || {
            let (sender, receiver) = mpsc::channel(1);
            // There is room for one.
            let _ = sender.try_send(Bytes::from_static(body));
            receiver
        };
        let stored = Box::pin(self.client.store_by(&mut beside, first.as_ref(), &command, &mut open)).await;
        let told = beside.told_behind.filter(|_| !beside.behind.is_empty());
        let stored = answer(stored.map(|_| told.map_or(Answer::Stored, Answer::Replies)))?;
        if first.is_some() && stored != Answer::Stored {
            // A REST that is still armed would make a hole in the next file that is stored.
            let _ = timeout(TIDY, self.client.say_good_bye()).await;
            self.client.reconnect().await.map_err(Gone)?;
        }
        Ok(stored)
    }

    async fn list(&mut self, dir: &Pathname, form: Form) -> Result<Answer, Gone> {
        let client = &mut self.client;
        answer(
            match form {
                Form::Best => client.list(dir).await,
                Form::Mlsd => client.shown_by(&Command::Mlsd(dir.clone()), Format::Facts, None).await,
                Form::List => client.shown_by(&Command::List(false), Format::Unix, Some(dir)).await,
                Form::ListAll => client.shown_by(&Command::List(true), Format::Unix, Some(dir)).await,
            }
            .map(Answer::Listed),
        )
    }

    async fn is_dir(&mut self, dir: &Pathname) -> Result<bool, Gone> {
        match self.client.find(dir).await {
            Ok(found) => Ok(found.is_some_and(|found| found.kind == ListedKind::Dir)),
            Err(error) if error.leaves_connection_usable() => Ok(false),
            Err(error) => Err(Gone(error)),
        }
    }

    /// Removes everything that a probe made in the directory, by names that it has.
    async fn empty(&mut self, scratch: &Scratch) -> Result<(), Gone> {
        let Answer::Listed(listing) = self.list(scratch.dir(), Form::Best).await? else { return Ok(()) };
        let ours = listing.entries.iter().filter(|entry| is_ours(&entry.name)).take(MAX_NAMES);
        let mut removals = Vec::new();
        for entry in ours {
            let remove = |name: &[u8]| {
                let remove = if entry.kind == ListedKind::Dir { Command::RemoveDir } else { Command::Delete };
                scratch.at(name).map(remove)
            };
            let plain = self.client.encoding();
            match remove(&entry.name) {
                Ok(command) if command.line(plain).is_ok() => removals.push(command),
                // What cannot be named as it is was sent with its 0xFF doubled.
                _ => {
                    let doubled = remove(scratch::DOUBLED).map_err(gone)?;
                    self.act(scratch, &Act::SayAs(Encoding { telnet_doubled: true }, doubled)).await?;
                }
            }
        }
        let plain = self.client.encoding();
        self.say_all(&mut removals, plain).await.map(drop)
    }

    /// Removes the directory with all that is in it; `false` if the server has it yet.
    async fn remove(&mut self, scratch: &Scratch) -> Result<bool, Gone> {
        if self.found.in_order == Some(true) && self.remove_at_once(scratch).await? {
            return Ok(true);
        }
        self.empty(scratch).await?;
        // `find` may have led into it, and a directory that somebody is in is not removed by some servers.
        self.say(Command::ChangeDir(Pathname::new("/").map_err(gone)?)).await?;
        let removed = self.say(Command::RemoveDir(scratch.dir().clone())).await?;
        if removed.is_positive() || !self.is_dir(scratch.dir()).await? {
            return Ok(true);
        }
        debug!(target: "towline::ftps", reply = %removed, "the scratch directory is left");
        Ok(false)
    }

    /// The same in one go, by the names that a probe leaves if nothing goes wrong.
    async fn remove_at_once(&mut self, scratch: &Scratch) -> Result<bool, Gone> {
        let found = &self.found;
        let files = [
            (FILE, true),
            (TO, true),
            (BEHIND[0], true),
            (BEHIND[1], true),
            (COPY, found.server_copy == Some(true)),
            (LINK, found.symlink == Some(true)),
            (APPENDED, found.appe.is_some()),
            (RESTARTED, found.rest_stor.is_some()),
        ];
        let dirs = [(UPPER, true), (DOT, found.dotfiles != Dotfiles::default())];
        let mut commands = Vec::with_capacity(files.len() + dirs.len() + 2);
        for (names, remove) in [(&files[..], Command::Delete as fn(Pathname) -> Command), (&dirs[..], Command::RemoveDir)] {
            for (name, _) in names.iter().filter(|(_, may_be_there)| *may_be_there) {
                commands.push(remove(scratch.at(name).map_err(gone)?));
            }
        }
        commands.push(Command::ChangeDir(Pathname::new("/").map_err(gone)?));
        commands.push(Command::RemoveDir(scratch.dir().clone()));
        let plain = self.client.encoding();
        let told = self.say_all(&mut commands, plain).await?;
        Ok(matches!(told.last(), Some(Answer::Reply(reply)) if reply.is_positive()))
    }

    /// Removes the directory; where that costs the connection, once more with another.
    async fn tidy(&mut self, scratch: &Scratch) -> Result<bool, Error> {
        match timeout(TIDY, Box::pin(self.remove(scratch))).await {
            Ok(Ok(removed)) => Ok(removed),
            _ => self.tidy_anew(scratch).await,
        }
    }

    /// Removes the directory over a fresh connection, and leaves a usable one.
    async fn tidy_anew(&mut self, scratch: &Scratch) -> Result<bool, Error> {
        self.client.reconnect().await?;
        match timeout(TIDY, Box::pin(self.remove(scratch))).await {
            Ok(Ok(removed)) => Ok(removed),
            _ => self.client.reconnect().await.map(|()| false),
        }
    }
}

/// An answer, as far as the conversation can go on with it.
fn answer(result: Result<Answer, Error>) -> Result<Answer, Gone> {
    match result {
        Ok(answer) => Ok(answer),
        Err(error) if !error.leaves_connection_usable() => Err(Gone(error)),
        Err(Error::Refused { reply, .. }) if reply.is_permanent() => Ok(Answer::Refused),
        Err(Error::Transfer { failure: Failure::Refused, .. }) => Ok(Answer::Refused),
        Err(_) => Ok(Answer::Odd),
    }
}

fn gone(error: super::proto::ArgumentError) -> Gone {
    Gone(Error::Name(error))
}

#[cfg(test)]
mod tests;
