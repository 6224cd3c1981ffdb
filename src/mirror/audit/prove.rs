//! [`Prover`]: what the server holds at one recorded path, over one session. The scrub's way to look: path by path, each in one
//! round trip where nothing has to be computed or read.

use super::{
    What,
    content::{checksums_there, digest_there, sums_here},
    judge::{Judgement, judge},
    walk::Found,
};
use crate::{
    mirror::Progress,
    model::{Checksum, Digest, Entry, Kind, ProofWay, RelPath, Row},
    remote::{RemoteError, Session},
    scan::Place,
};

/// What a look came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::mirror) enum Shown {
    /// The file is as recorded.
    Proven(ProofWay),
    /// Something that is no file is.
    There,
    /// It waits until it may be read back.
    Later,
    /// It is not, or it could not be found out.
    Not(What),
}

/// How to look.
#[derive(Clone, Debug)]
pub(in crate::mirror) struct Prover {
    /// The local directory: of what is there as it was sent, the server's checksums can be checked.
    pub(in crate::mirror) place: Place,
    /// The server keeps times that were set.
    pub(in crate::mirror) times: bool,
    /// So many bytes may be read back,
    pub(in crate::mirror) budget: u64,
    /// and one file even if it is larger.
    pub(in crate::mirror) may_exceed: bool,
    /// A file that may not be read yet waits.
    pub(in crate::mirror) waits: bool,
    /// So many were, or were begun to be.
    pub(in crate::mirror) read: u64,
}

impl Prover {
    /// Looks at the path of `row`, of which something is recorded.
    ///
    /// # Errors
    /// When the session is lost.
    pub(in crate::mirror) async fn look<S: Session>(&mut self, session: &mut S, row: &Row) -> Result<Shown, RemoteError> {
        let Some(recorded) = row.recorded else { return Ok(Shown::There) };
        match self.ask(session, row, &recorded).await {
            Err(e) if e.session_survives() => Ok(Shown::Not(What::Unproven { why: e.to_string() })),
            shown => shown,
        }
    }

    async fn ask<S: Session>(&mut self, session: &mut S, row: &Row, recorded: &Entry) -> Result<Shown, RemoteError> {
        let path = &row.path;
        let found = if recorded.kind() == Kind::File {
            let copy = session.examine(path).await?;
            copy.map(|copy| Found { kind: Some(copy.kind), size: copy.size, modified: copy.modified, by_name: true })
        } else {
            let stat = session.stat(path).await?;
            stat.map(|stat| Found { kind: Some(stat.kind), size: stat.size, modified: None, by_name: true })
        };
        let (size, digest, suspect) = match judge(recorded, found.as_ref(), self.times) {
            Judgement::Fine => return Ok(Shown::There),
            Judgement::Wrong(what) => return Ok(Shown::Not(what)),
            Judgement::Unsized => {
                return Ok(Shown::Not(What::Unproven { why: "the server does not tell its size".to_owned() }));
            }
            Judgement::SameSize { size, digest, suspect } => (size, digest, suspect),
        };
        if let Some(digest) = digest {
            match self.by_checksum(session, row, size, digest).await? {
                Some(true) => return Ok(Shown::Proven(ProofWay::Checksum)),
                Some(false) => return Ok(Shown::Not(What::OtherContent)),
                None => {}
            }
            if self.may_read(size) {
                let same = digest_there(session, path, size, &Progress::default()).await? == digest;
                return Ok(if same { Shown::Proven(ProofWay::Reading) } else { Shown::Not(What::OtherContent) });
            }
            if self.waits {
                return Ok(Shown::Later);
            }
        }
        Ok(if suspect { Shown::Not(What::OtherTime) } else { Shown::Proven(ProofWay::Size) })
    }

    /// Whether the server computes the checksum that the recorded content has; `None` where that cannot be known.
    async fn by_checksum<S: Session>(
        &self,
        session: &mut S,
        row: &Row,
        size: u64,
        digest: Digest,
    ) -> Result<Option<bool>, RemoteError> {
        if !row.observed.is_some_and(|here| row.recorded.is_some_and(|sent| here.same_content(&sent))) {
            return Ok(None);
        }
        let there = match checksums_there(session, &row.path, size).await {
            Ok(there) => there,
            Err(e) if e.session_survives() => None,
            Err(e) => return Err(e),
        };
        let Some(there) = there else { return Ok(None) };
        let Some(algorithm) = there.first().map(Checksum::algorithm) else { return Ok(None) };
        // The local file may have been changed and nobody has looked yet.
        let here = sums_here(self.place.clone(), row.path.clone(), algorithm, u64::MAX).await;
        Ok(here.ok().filter(|(content, _)| content.digest == digest).map(|(_, here)| here == there))
    }

    /// Takes `size` bytes of the budget, if there are so many.
    fn may_read(&mut self, size: u64) -> bool {
        // Without a budget not even an empty one: it costs a data connection.
        let may = self.budget > 0 && size <= self.budget || self.may_exceed;
        if may {
            self.budget = self.budget.saturating_sub(size);
            self.may_exceed = false;
            self.read = self.read.saturating_add(size);
        }
        may
    }
}

/// What is at and below a directory that is not there need not be asked for.
pub(in crate::mirror) fn is_below(lost: Option<&RelPath>, path: &RelPath) -> bool {
    lost.is_some_and(|lost| path.is_at_or_below(lost))
}
