//! A tree of names as an FTP server keeps it: refuses what FTP refuses. No session, no faults; plain values.

use std::{collections::BTreeMap, fmt};

use bytes::Bytes;

use crate::model::{Kind, Mode, RelPath, ServerCopy, Stat};

/// In what a server differs from another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Manners {
    /// Names that differ in case only are one; the case of the first is kept.
    pub fold_case: bool,
    /// Renaming onto an existing file is refused.
    pub refuse_replacing: bool,
    /// Renaming a file to a name that differs from its own in case only is refused.
    pub refuse_case_change: bool,
    /// Spaces at the start and end of names, control characters and what is not UTF-8 are stored as `_`, without a word.
    pub mangles: bool,
    /// Permissions cannot be set.
    pub no_modes: bool,
    /// Symbolic links cannot be made.
    pub no_links: bool,
    /// Checksums are computed (SHA-256).
    pub sums: bool,
    /// Listings leave out the names that start with a dot, and say so.
    pub hides_dots: bool,
    /// Files can be copied on the server.
    pub copies: bool,
    /// Directories cannot be renamed.
    pub fixed_dirs: bool,
}

/// A server's tree below the mirror's directory.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    manners: Manners,
    /// By path; folded where the server folds, so a directory comes right before what is in it.
    nodes: BTreeMap<RelPath, Named>,
}

#[derive(Clone, Debug)]
struct Named {
    /// The last component as it was given.
    name: Vec<u8>,
    node: Node,
    /// Its permissions, where somebody set them.
    mode: Option<Mode>,
}

/// What is at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// A directory.
    Dir,
    /// A file.
    File {
        /// Its content.
        body: Bytes,
        /// Its modification time in seconds since the Unix epoch, where somebody set it.
        modified: Option<i64>,
    },
    /// A symbolic link, which is not followed.
    Link {
        /// What it holds.
        target: Vec<u8>,
    },
}

/// Why an operation was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The directory that is to hold it is missing or is a file.
    #[error("no such directory")]
    NoParent,
    /// There is nothing of this name.
    #[error("no such file or directory")]
    Missing,
    /// There is something of this name.
    #[error("it exists already")]
    Exists,
    /// A file is needed, a directory is there.
    #[error("it is a directory")]
    IsDir,
    /// A directory is needed, a file is there.
    #[error("it is not a directory")]
    IsFile,
    /// The server has no such command.
    #[error("not implemented")]
    Lacking,
    /// The directory holds something.
    #[error("the directory is not empty")]
    NotEmpty,
}

impl Tree {
    /// An empty one.
    pub fn new(manners: Manners) -> Self {
        Self { manners, nodes: BTreeMap::new() }
    }

    /// What is at `path`.
    pub fn get(&self, path: &RelPath) -> Option<&Node> {
        self.nodes.get(&self.key(path)).map(|named| &named.node)
    }

    /// The permissions that were set of what is at `path`.
    pub fn mode(&self, path: &RelPath) -> Option<Mode> {
        self.nodes.get(&self.key(path)).and_then(|named| named.mode)
    }

    /// SITE CHMOD.
    ///
    /// # Errors
    /// When there is nothing of this name but perhaps a link, or this server has no such command.
    pub fn set_mode(&mut self, path: &RelPath, mode: Mode) -> Result<(), Refusal> {
        let key = self.key(path);
        match self.nodes.get_mut(&key) {
            _ if self.manners.no_modes => Err(Refusal::Lacking),
            None | Some(Named { node: Node::Link { .. }, .. }) => Err(Refusal::Missing),
            Some(named) => {
                named.mode = Some(mode);
                Ok(())
            }
        }
    }

    /// SITE SYMLINK.
    ///
    /// # Errors
    /// When the name is taken, the parent is no directory, or this server has no such command.
    pub fn make_link(&mut self, path: &RelPath, target: &[u8]) -> Result<(), Refusal> {
        if self.manners.no_links {
            return Err(Refusal::Lacking);
        }
        self.parent_of(path)?;
        if self.get(path).is_some() {
            return Err(Refusal::Exists);
        }
        self.insert(path, Node::Link { target: target.to_vec() }, None);
        Ok(())
    }

    /// What is at `path`, as MLST tells it.
    pub fn stat(&self, path: &RelPath) -> Option<Stat> {
        self.get(path).map(|node| match node {
            Node::Dir => Stat { kind: Kind::Dir, size: None },
            Node::File { body, .. } => Stat { kind: Kind::File, size: Some(body.len() as u64) },
            Node::Link { .. } => Stat { kind: Kind::Link, size: None },
        })
    }

    /// The content of the file at `path`.
    ///
    /// # Errors
    /// When there is no such file.
    pub fn body(&self, path: &RelPath) -> Result<Bytes, Refusal> {
        match self.get(path) {
            Some(Node::File { body, .. }) => Ok(body.clone()),
            Some(Node::Dir) => Err(Refusal::IsDir),
            Some(Node::Link { .. }) | None => Err(Refusal::Missing),
        }
    }

    /// MLSD: what is in a directory, by name.
    ///
    /// # Errors
    /// When there is no such directory.
    pub fn list(&self, dir: Option<&RelPath>) -> Result<Vec<(Vec<u8>, Node)>, Refusal> {
        match dir.map(|dir| self.get(dir)) {
            None | Some(Some(Node::Dir)) => {}
            Some(Some(_)) => return Err(Refusal::IsFile),
            Some(None) => return Err(Refusal::Missing),
        }
        let dir = dir.map(|dir| self.key(dir));
        let children = self.nodes.iter().filter(|(key, _)| key.parent() == dir);
        let shown = children.filter(|(_, named)| !self.manners.hides_dots || !named.name.starts_with(b"."));
        Ok(shown.map(|(_, named)| (named.name.clone(), named.node.clone())).collect())
    }

    /// What is at `path`, with its time.
    pub fn copy(&self, path: &RelPath) -> Option<ServerCopy> {
        let Stat { kind, size } = self.stat(path)?;
        let modified = match self.get(path) {
            Some(Node::File { modified, .. }) => *modified,
            _ => None,
        };
        Some(ServerCopy { kind, size, modified })
    }

    /// Everything, in preorder of the names as they were given.
    pub fn entries(&self) -> BTreeMap<RelPath, Node> {
        let mut entries = BTreeMap::new();
        let mut above: Vec<(&RelPath, RelPath)> = Vec::new();
        for (key, named) in &self.nodes {
            while above.last().is_some_and(|(dir, _)| !key.is_at_or_below(dir)) {
                above.pop();
            }
            if let Ok(path) = RelPath::child(above.last().map(|(_, path)| path), &named.name) {
                entries.insert(path.clone(), named.node.clone());
                above.push((key, path));
            }
        }
        entries
    }

    /// MKD.
    ///
    /// # Errors
    /// When the name is taken or the parent is no directory.
    pub fn make_dir(&mut self, path: &RelPath) -> Result<(), Refusal> {
        self.parent_of(path)?;
        if self.get(path).is_some() {
            return Err(Refusal::Exists);
        }
        self.insert(path, Node::Dir, None);
        Ok(())
    }

    /// STOR: a new file, or a new content for an existing one (whose name keeps its case).
    ///
    /// # Errors
    /// When a directory has the name or the parent is no directory.
    pub fn store(&mut self, path: &RelPath, body: Bytes) -> Result<(), Refusal> {
        self.parent_of(path)?;
        match self.nodes.get_mut(&self.key(path)).map(|named| &mut named.node) {
            Some(Node::Dir) => return Err(Refusal::IsDir),
            Some(file) => *file = Node::File { body, modified: None },
            None => self.insert(path, Node::File { body, modified: None }, None),
        }
        Ok(())
    }

    /// Adds to the end of a file.
    ///
    /// # Errors
    /// When it is not there.
    pub fn append(&mut self, path: &RelPath, more: &[u8]) -> Result<(), Refusal> {
        let body = [&self.body(path)?, more].concat();
        self.store(path, body.into())
    }

    /// REST and STOR, which keep what lies behind.
    ///
    /// # Errors
    /// When it is not there, or ends before byte `at`.
    pub fn overwrite(&mut self, path: &RelPath, at: u64, part: &[u8]) -> Result<(), Refusal> {
        let body = self.body(path)?;
        let at = usize::try_from(at).map_err(|_| Refusal::Missing)?;
        let front = body.get(..at).ok_or(Refusal::Missing)?;
        let behind = body.get(at + part.len()..).unwrap_or_default();
        let body = [front, part, behind].concat();
        self.store(path, body.into())
    }

    /// MFMT.
    ///
    /// # Errors
    /// When there is no such file.
    pub fn set_modified(&mut self, path: &RelPath, seconds: i64) -> Result<(), Refusal> {
        match self.nodes.get_mut(&self.key(path)).map(|named| &mut named.node) {
            Some(Node::File { modified, .. }) => *modified = Some(seconds),
            Some(Node::Dir) => return Err(Refusal::IsDir),
            Some(Node::Link { .. }) | None => return Err(Refusal::Missing),
        }
        Ok(())
    }

    /// RNFR and RNTO: of a file or link, which replaces a file called `to`, or of a directory, which replaces nothing.
    ///
    /// # Errors
    /// When there is no `from`, `to` is a directory, the parent of `to` is none, or `to` is a file and this server does not
    /// replace one; of a directory also when `to` is anything, or lies in it, or this server does not rename any.
    pub fn rename(&mut self, from: &RelPath, to: &RelPath) -> Result<(), Refusal> {
        let node = match self.get(from) {
            Some(Node::Dir) => return self.rename_dir(from, to),
            Some(file) => file.clone(),
            None => return Err(Refusal::Missing),
        };
        self.parent_of(to)?;
        let (old, new) = (self.key(from), self.key(to));
        if self.manners.refuse_case_change && old == new && from != to {
            return Err(Refusal::Exists);
        }
        match self.get(to) {
            Some(Node::Dir) => return Err(Refusal::IsDir),
            Some(_) if self.manners.refuse_replacing && old != new => return Err(Refusal::Exists),
            _ => {}
        }
        let mode = self.nodes.remove(&old).and_then(|named| named.mode);
        self.insert(to, node, mode);
        Ok(())
    }

    fn rename_dir(&mut self, from: &RelPath, to: &RelPath) -> Result<(), Refusal> {
        self.parent_of(to)?;
        let (old, new) = (self.key(from), self.key(to));
        if self.manners.fixed_dirs || new.is_at_or_below(&old) {
            return Err(Refusal::IsDir);
        }
        if self.get(to).is_some() {
            return Err(Refusal::Exists);
        }
        let inside: Vec<RelPath> =
            self.nodes.range(old.clone()..).map(|(key, _)| key).take_while(|key| key.is_at_or_below(&old)).cloned().collect();
        for key in inside {
            let Some(mut named) = self.nodes.remove(&key) else { continue };
            let moved = key.moved(&old, &new);
            if moved.is_none() {
                named.name = self.stored(to).name().to_vec();
            }
            self.nodes.insert(moved.unwrap_or_else(|| new.clone()), named);
        }
        Ok(())
    }

    /// SITE CPFR and SITE CPTO of a file.
    ///
    /// # Errors
    /// When `from` is no file, `to` is taken, the parent of `to` is no directory, or this server has no such command.
    pub fn duplicate(&mut self, from: &RelPath, to: &RelPath) -> Result<(), Refusal> {
        if !self.manners.copies {
            return Err(Refusal::Lacking);
        }
        let body = match self.get(from) {
            Some(Node::File { body, .. }) => body.clone(),
            Some(_) => return Err(Refusal::IsDir),
            None => return Err(Refusal::Missing),
        };
        self.parent_of(to)?;
        if self.get(to).is_some() {
            return Err(Refusal::Exists);
        }
        self.insert(to, Node::File { body, modified: None }, None);
        Ok(())
    }

    /// What is left of the file `path` is its first half: the server stopped in the middle of writing it.
    pub fn halve(&mut self, path: &RelPath) {
        if let Some(Node::File { body, .. }) = self.nodes.get_mut(&self.key(path)).map(|named| &mut named.node) {
            body.truncate(body.len() / 2);
        }
    }

    /// DELE.
    ///
    /// # Errors
    /// When there is no such file.
    pub fn remove_file(&mut self, path: &RelPath) -> Result<(), Refusal> {
        match self.get(path) {
            None => Err(Refusal::Missing),
            Some(Node::Dir) => Err(Refusal::IsDir),
            Some(Node::File { .. } | Node::Link { .. }) => {
                self.nodes.remove(&self.key(path));
                Ok(())
            }
        }
    }

    /// RMD.
    ///
    /// # Errors
    /// When there is no such directory or something is in it.
    pub fn remove_dir(&mut self, path: &RelPath) -> Result<(), Refusal> {
        let key = self.key(path);
        match self.get(path) {
            None => Err(Refusal::Missing),
            Some(Node::File { .. } | Node::Link { .. }) => Err(Refusal::IsFile),
            Some(Node::Dir) if self.nodes.range(&key..).nth(1).is_some_and(|(next, _)| next.is_at_or_below(&key)) => {
                Err(Refusal::NotEmpty)
            }
            Some(Node::Dir) => {
                self.nodes.remove(&key);
                Ok(())
            }
        }
    }

    fn key(&self, path: &RelPath) -> RelPath {
        let path = self.stored(path);
        if self.manners.fold_case { path.folded() } else { path }
    }

    /// What `path` becomes on a server that mangles names.
    fn stored(&self, path: &RelPath) -> RelPath {
        if !self.manners.mangles {
            return path.clone();
        }
        let mangle = |name: &[u8]| -> Vec<u8> {
            let last = name.len() - 1;
            let unfit = |(at, b): (usize, &u8)| {
                b.is_ascii_control()
                    || (*b == b' ' && (at == 0 || at == last))
                    || (!b.is_ascii() && std::str::from_utf8(name).is_err())
            };
            name.iter().enumerate().map(|each| if unfit(each) { b'_' } else { *each.1 }).collect()
        };
        let names: Vec<Vec<u8>> = path.components().map(mangle).collect();
        RelPath::new(names.join(&b'/')).unwrap_or_else(|_| path.clone())
    }

    fn parent_of(&self, path: &RelPath) -> Result<(), Refusal> {
        match path.parent().map(|dir| self.get(&dir).cloned()) {
            None | Some(Some(Node::Dir)) => Ok(()),
            Some(_) => Err(Refusal::NoParent),
        }
    }

    fn insert(&mut self, path: &RelPath, node: Node, mode: Option<Mode>) {
        let name = self.stored(path).name().to_vec();
        self.nodes.insert(self.key(path), Named { name, node, mode });
    }
}

impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (path, node) in self.entries() {
            match node {
                Node::Dir => writeln!(f, "{path}/")?,
                Node::File { body, .. } => writeln!(f, "{path} ({} bytes)", body.len())?,
                Node::Link { target } => writeln!(f, "{path} -> {}", target.escape_ascii())?,
            }
        }
        Ok(())
    }
}

/// The mirror's directory is the root of the tree, so that another one lies in it.
pub(super) fn beside(base: &[u8], path: &RelPath) -> RelPath {
    let base = base.strip_prefix(b"/").unwrap_or(base);
    RelPath::new([base, b"/", path.as_bytes()].concat()).unwrap_or_else(|_| path.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> RelPath {
        RelPath::new(text).expect("a valid path")
    }

    fn body(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
    }

    #[test]
    fn it_refuses_what_ftp_refuses() {
        let mut tree = Tree::default();
        assert_eq!(tree.make_dir(&path("d/e")), Err(Refusal::NoParent));
        assert_eq!(tree.store(&path("d/f"), body("x")), Err(Refusal::NoParent));
        assert_eq!(tree.make_dir(&path("d")), Ok(()));
        assert_eq!(tree.make_dir(&path("d")), Err(Refusal::Exists));
        assert_eq!(tree.store(&path("d"), body("x")), Err(Refusal::IsDir));
        assert_eq!(tree.store(&path("d/f"), body("x")), Ok(()));
        assert_eq!(tree.make_dir(&path("d/f")), Err(Refusal::Exists));
        assert_eq!(tree.store(&path("d/f/g"), body("x")), Err(Refusal::NoParent), "a file is no directory");
        assert_eq!(tree.remove_dir(&path("d")), Err(Refusal::NotEmpty));
        assert_eq!(tree.remove_dir(&path("d/f")), Err(Refusal::IsFile));
        assert_eq!(tree.remove_file(&path("d")), Err(Refusal::IsDir));
        assert_eq!(tree.rename(&path("x"), &path("y")), Err(Refusal::Missing));
        assert_eq!(tree.rename(&path("d/f"), &path("e/f")), Err(Refusal::NoParent));
        assert_eq!(tree.rename(&path("d/f"), &path("d")), Err(Refusal::IsDir));
        assert_eq!(tree.rename(&path("d/f"), &path("f")), Ok(()));
        assert_eq!(tree.remove_dir(&path("d")), Ok(()));
        assert_eq!(tree.remove_dir(&path("d")), Err(Refusal::Missing));
        assert_eq!(tree.remove_file(&path("d")), Err(Refusal::Missing));
        assert_eq!(tree.to_string(), "f (1 bytes)\n");
    }

    #[test]
    fn a_neighbour_with_a_low_byte_is_not_inside() {
        let mut tree = Tree::default();
        tree.make_dir(&path("a")).expect("made");
        tree.make_dir(&path("a!")).expect("made");
        assert_eq!(tree.remove_dir(&path("a")), Ok(()));
    }

    #[test]
    fn a_rename_replaces_a_file_unless_told_not_to() {
        for refuse_replacing in [false, true] {
            let mut tree = Tree::new(Manners { refuse_replacing, ..Manners::default() });
            tree.store(&path("a"), body("a")).expect("stored");
            tree.store(&path("b"), body("b")).expect("stored");
            let expected = if refuse_replacing { Err(Refusal::Exists) } else { Ok(()) };
            assert_eq!(tree.rename(&path("a"), &path("b")), expected);
        }
    }

    #[test]
    fn a_folding_server_keeps_the_case_and_can_change_it_by_rename() {
        let mut tree = Tree::new(Manners { fold_case: true, refuse_replacing: true, ..Manners::default() });
        tree.make_dir(&path("Dir")).expect("made");
        tree.store(&path("dir/README"), body("1")).expect("stored");
        assert_eq!(tree.make_dir(&path("DIR")), Err(Refusal::Exists));
        tree.store(&path("DIR/readme"), body("2")).expect("stored");
        assert_eq!(tree.entries().keys().cloned().collect::<Vec<_>>(), [path("Dir"), path("Dir/README")]);
        tree.rename(&path("Dir/README"), &path("Dir/readme")).expect("renamed");
        assert_eq!(tree.to_string(), "Dir/\nDir/readme (1 bytes)\n");
        assert_eq!(tree.stat(&path("dIR/rEADME")), Some(Stat { kind: Kind::File, size: Some(1) }));
    }
}
