//! The simulated disk: what programs see (the cache) apart from what a power cut leaves (the medium).

use std::{
    ffi::OsString,
    io,
    ops::Range,
    path::Path,
    sync::{Arc, Mutex},
};

use super::{
    file::Pages,
    folder::Entries,
    plan::{Op, Plan, Random},
};
use crate::{
    disk::{Disk, DiskFile, Open, copy_range},
    error::lock,
};

const ROOT: usize = 0;
const EIO: i32 = 5;
const ENOSPC: i32 = 28;
const EROFS: i32 = 30;

/// The file system as one process sees it. Once that process is killed, nothing it still does has any
/// effect.
pub(crate) struct SimDisk {
    machine: Machine,
    life: u64,
}

/// The disk itself, which outlives processes.
#[derive(Clone)]
pub(crate) struct Machine(Arc<Mutex<State>>);

struct State {
    nodes: Vec<Node>,
    /// Which process may act.
    life: u64,
    plan: Plan,
    random: Random,
    /// How often something was moved from one folder to another.
    moves: u64,
    /// Whether each folder below the root is a file system of its own.
    split: bool,
}

enum Node {
    File(Pages),
    Folder(Entries),
}

impl Machine {
    /// An empty disk with these folders; what it does by chance comes from the seed.
    pub(crate) fn new(seed: u64, folders: &[&Path]) -> Self {
        let machine = Self(Arc::new(Mutex::new(State {
            nodes: vec![Node::Folder(Entries::default())],
            life: 0,
            plan: Plan::default(),
            random: Random::new(seed),
            moves: 0,
            split: false,
        })));
        let disk = machine.boot();
        for folder in folders {
            disk.create_dir(folder).unwrap();
            disk.sync_dir(folder.parent().unwrap()).unwrap();
        }
        machine
    }

    /// The disk for a new process; the one before is killed, and the cache stays.
    pub(crate) fn boot(&self) -> Arc<SimDisk> {
        let mut state = lock(&self.0);
        state.kill();
        Arc::new(SimDisk {
            machine: self.clone(),
            life: state.life,
        })
    }

    /// Cuts the power: of what was not synced, anything may be there or not.
    pub(crate) fn cut_power(&self) {
        let state = &mut *lock(&self.0);
        state.kill();
        state.plan = Plan::default();
        let moved: Vec<bool> = (0..state.moves).map(|_| state.random.one_in(2)).collect();
        for node in &mut state.nodes {
            match node {
                Node::File(pages) => pages.cut_power(&mut state.random),
                Node::Folder(entries) => entries.cut_power(&mut state.random, &moved),
            }
        }
    }

    /// Cuts the power: nothing that was not synced is there.
    pub(crate) fn cut_power_and_drop_all(&self) {
        let state = &mut *lock(&self.0);
        state.kill();
        state.plan = Plan::default();
        for node in &mut state.nodes {
            match node {
                Node::File(pages) => pages.drop_unsynced(),
                Node::Folder(entries) => entries.drop_unsynced(),
            }
        }
    }

    /// From now on nothing can be moved between folders of the root.
    pub(crate) fn split(&self) {
        lock(&self.0).split = true;
    }

    /// What is to go wrong from now on.
    pub(crate) fn plan(&self, change: impl FnOnce(&mut Plan)) {
        change(&mut lock(&self.0).plan);
    }

    /// Whether writes go wrong until that is lifted.
    pub(crate) fn stays_broken(&self) -> bool {
        let plan = &lock(&self.0).plan;
        plan.space.is_some() || plan.read_only
    }

    /// Whether anything can go wrong for that process.
    pub(crate) fn can_fail(&self, disk: &SimDisk) -> bool {
        let state = lock(&self.0);
        state.life != disk.life || !state.plan.is_empty()
    }
}

impl State {
    fn kill(&mut self) {
        self.life += 1;
        for node in &mut self.nodes {
            if let Node::File(pages) = node {
                pages.evict_lost();
            }
        }
    }

    /// Whether a process may read.
    fn look(&self, life: u64) -> io::Result<()> {
        if life == self.life {
            Ok(())
        } else {
            Err(error(EIO))
        }
    }

    /// Whether a process may do this now.
    fn change(&mut self, life: u64, op: Op) -> io::Result<()> {
        self.look(life)?;
        if self.plan.dies() {
            self.kill();
            return Err(error(EIO));
        }
        if self.plan.fails(op) {
            return Err(error(EIO));
        }
        if self.plan.read_only {
            return Err(error(EROFS));
        }
        if op == Op::Create && self.plan.space == Some(0) {
            return Err(error(ENOSPC));
        }
        Ok(())
    }

    fn add(&mut self, node: Node) -> usize {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    fn find(&self, path: &Path) -> io::Result<usize> {
        let mut at = ROOT;
        for name in path.iter().skip(1) {
            let Node::Folder(entries) = &self.nodes[at] else {
                return Err(io::ErrorKind::NotADirectory.into());
            };
            at = entries.get(name).ok_or(io::ErrorKind::NotFound)?;
        }
        Ok(at)
    }

    /// The folder that a path is in.
    fn parent(&mut self, path: &Path) -> io::Result<&mut Entries> {
        let parent = self.find(path.parent().unwrap())?;
        self.folder(parent)
    }

    fn folder(&mut self, node: usize) -> io::Result<&mut Entries> {
        match &mut self.nodes[node] {
            Node::Folder(entries) => Ok(entries),
            Node::File(_) => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    fn file(&mut self, node: usize) -> io::Result<&mut Pages> {
        match &mut self.nodes[node] {
            Node::File(pages) => Ok(pages),
            Node::Folder(_) => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    fn remove_all(&mut self, life: u64, path: &Path) -> io::Result<()> {
        let node = self.find(path)?;
        if let Node::Folder(entries) = &self.nodes[node] {
            for name in entries.names() {
                self.remove_all(life, &path.join(name))?;
            }
        }
        self.change(life, Op::Remove)?;
        self.parent(path)?.set(&[(path, None)]);
        Ok(())
    }
}

impl Disk for SimDisk {
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = lock(&self.machine.0);
        state.look(self.life)?;
        let node = match (state.find(path), how) {
            (Ok(_), Open::MakeNew) => return Err(io::ErrorKind::AlreadyExists.into()),
            (Ok(_), Open::Write | Open::Make) if state.plan.read_only => {
                return Err(error(EROFS));
            }
            (Ok(node), Open::Read | Open::Write | Open::Make) => node,
            (Err(missing), Open::Make | Open::MakeNew)
                if missing.kind() == io::ErrorKind::NotFound =>
            {
                state.parent(path)?;
                state.change(self.life, Op::Create)?;
                let node = state.add(Node::File(Pages::default()));
                state.parent(path)?.set(&[(path, Some(node))]);
                node
            }
            (Err(error), _) => return Err(error),
        };
        state.file(node)?;
        Ok(Arc::new(SimFile {
            machine: self.machine.clone(),
            life: self.life,
            node,
        }))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = lock(&self.machine.0);
        state.change(self.life, Op::Create)?;
        if state.find(path).is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let node = state.add(Node::Folder(Entries::default()));
        state.parent(path)?.set(&[(path, Some(node))]);
        Ok(())
    }

    fn copy(&self, from: &Path, len: u64, to: &Path) -> io::Result<()> {
        let (from, to) = (self.open(from, Open::Read)?, self.open(to, Open::MakeNew)?);
        copy_range(from.as_ref(), 0..len, to.as_ref())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = lock(&self.machine.0);
        let node = state.find(from)?;
        if state.split && from.iter().nth(1) != to.iter().nth(1) {
            return Err(io::ErrorKind::CrossesDevices.into());
        }
        if let Ok(there) = state.find(to)
            && matches!(&state.nodes[there], Node::Folder(entries) if !entries.names().is_empty())
        {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        state.change(self.life, Op::Rename)?;
        if from.parent() == to.parent() {
            state.parent(from)?.set(&[(from, None), (to, Some(node))]);
            return Ok(());
        }
        // As journals do it: in both folders or in none.
        let number = state.moves as usize;
        state.moves += 1;
        state.parent(from)?.move_one(from, None, number);
        state.parent(to)?.move_one(to, Some(node), number);
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut state = lock(&self.machine.0);
        state.look(self.life)?;
        let node = state.find(path)?;
        state.file(node)?;
        state.change(self.life, Op::Remove)?;
        state.parent(path)?.set(&[(path, None)]);
        Ok(())
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        lock(&self.machine.0).remove_all(self.life, path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = lock(&self.machine.0);
        // The journal keeps the entries for a later try.
        state.change(self.life, Op::SyncDir)?;
        let node = state.find(path)?;
        let mut moved = state.folder(node)?.sync();
        // What was moved is durable where it came from, and where it went, up to then.
        while let Some(number) = moved.pop() {
            for node in &mut state.nodes {
                if let Node::Folder(entries) = node
                    && entries.waits_for(number)
                {
                    moved.extend(entries.sync());
                }
            }
        }
        Ok(())
    }

    fn names(&self, path: &Path) -> io::Result<Vec<OsString>> {
        let mut state = lock(&self.machine.0);
        state.look(self.life)?;
        let node = state.find(path)?;
        Ok(state.folder(node)?.names())
    }

    fn exists(&self, path: &Path) -> bool {
        lock(&self.machine.0).find(path).is_ok()
    }

    fn is_dir(&self, path: &Path) -> bool {
        let state = lock(&self.machine.0);
        let node = state.find(path);
        node.is_ok_and(|node| matches!(state.nodes[node], Node::Folder(_)))
    }

    fn size(&self, path: &Path) -> io::Result<u64> {
        let mut state = lock(&self.machine.0);
        state.look(self.life)?;
        let node = state.find(path)?;
        Ok(state.file(node)?.len())
    }
}

struct SimFile {
    machine: Machine,
    life: u64,
    node: usize,
}

impl DiskFile for SimFile {
    fn len(&self) -> io::Result<u64> {
        let mut state = lock(&self.machine.0);
        state.look(self.life)?;
        Ok(state.file(self.node)?.len())
    }

    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        let mut state = lock(&self.machine.0);
        state.look(self.life)?;
        Ok(state.file(self.node)?.read(buffer, at))
    }

    fn read_now(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        if lock(&self.machine.0).random.one_in(4) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.read_at(buffer, at)
    }

    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<usize> {
        let state = &mut *lock(&self.machine.0);
        state.look(self.life)?;
        let mut count = bytes.len();
        let killed = state.plan.dies_next();
        if state.plan.short_writes || killed {
            count = 1 + state.random.below(count);
        }
        if !killed {
            state.change(self.life, Op::Write)?;
        }
        let end = state.file(self.node)?.len();
        if let Some(space) = &mut state.plan.space {
            let room = end.saturating_sub(at) as usize + *space;
            count = count.min(room);
            *space -= ((at + count as u64).saturating_sub(end) as usize).min(*space);
            if count == 0 {
                return Err(error(ENOSPC));
            }
        }
        state.file(self.node)?.write(&bytes[..count], at);
        if killed {
            // In the middle of it.
            state.change(self.life, Op::Write)?;
        }
        Ok(count)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = lock(&self.machine.0);
        state.change(self.life, Op::SetLen)?;
        state.file(self.node)?.set_len(len);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let state = &mut *lock(&self.machine.0);
        let allowed = state.change(self.life, Op::Sync);
        let alive = state.look(self.life).is_ok();
        let Node::File(pages) = &mut state.nodes[self.node] else {
            return Err(error(EIO));
        };
        match allowed {
            Ok(()) => pages.sync(),
            Err(error) if alive && error.raw_os_error() == Some(EIO) => {
                pages.fail_sync(&mut state.random);
                return Err(error);
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn start_writeout(&self, _range: Range<u64>) {}
}

fn error(code: i32) -> io::Error {
    io::Error::from_raw_os_error(code)
}
