//! A volume as the kernel sees it.
//!
//! Nothing is cached outside of the volume: attributes and names are good for
//! no time at all and every file is read and written directly, so that a power
//! cut leaves no older truth behind.

use std::{
    ffi::OsStr,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use fuser::{
    BsdFileFlags, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation,
    INodeNo, LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory,
    ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs, ReplyWrite, Request, TimeOrNow, WriteFlags,
};

use super::{Disk, SLOW_MAX, Trouble};
use crate::chaos::volume::{Attributes, ROOT, Refused};

/// How long the kernel may believe an answer.
const NO_TIME: Duration = Duration::ZERO;

/// Bytes of a block, as is told.
const BLOCK: u32 = 4096;

/// Longest name.
const NAME_BYTES_MAX: u32 = 255;

/// Modes of `fallocate` that volumes know.
const GROW: i32 = 0;
const KEEP_SIZE: i32 = 1;

/// What the kernel mounts.
pub(super) struct Mounted(pub(super) Arc<Disk>);

impl Mounted {
    /// Whether changes fail now.
    fn fails(&self) -> bool {
        self.0.trouble() == Trouble::Fails
    }

    fn slowly(&self) {
        if let Trouble::Slow(ms) = self.0.trouble() {
            std::thread::sleep(Duration::from_millis(ms).min(SLOW_MAX));
        }
    }

    fn attributes(found: Attributes, request: &Request) -> FileAttr {
        FileAttr {
            ino: INodeNo(found.inode),
            size: found.bytes,
            blocks: found.bytes.div_ceil(512),
            atime: UNIX_EPOCH,
            mtime: UNIX_EPOCH,
            ctime: UNIX_EPOCH,
            crtime: UNIX_EPOCH,
            kind: kind(found),
            perm: found.mode,
            nlink: found.links.max(1),
            uid: request.uid(),
            gid: request.gid(),
            rdev: 0,
            blksize: BLOCK,
            flags: 0,
        }
    }

    fn entry(request: &Request, found: Result<Attributes, Errno>, reply: ReplyEntry) {
        match found {
            Ok(found) => {
                let attributes = Self::attributes(found, request);
                reply.entry(&NO_TIME, &attributes, Generation(0));
            }
            Err(error) => reply.error(error),
        }
    }

    fn make(
        &self,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        folder: bool,
    ) -> Result<Attributes, Errno> {
        if self.fails() {
            return Err(Errno::EIO);
        }
        let mode = permissions(mode);
        let mut volume = self.0.volume();
        volume.create(parent.0, name, mode, folder).map_err(errno)
    }

    fn change(&self, change: impl FnOnce() -> Result<(), Refused>, reply: ReplyEmpty) {
        if self.fails() {
            return reply.error(Errno::EIO);
        }
        match change() {
            Ok(()) => reply.ok(),
            Err(refused) => reply.error(errno(refused)),
        }
    }
}

fn kind(found: Attributes) -> FileType {
    if found.folder {
        FileType::Directory
    } else {
        FileType::RegularFile
    }
}

fn permissions(mode: u32) -> u16 {
    u16::try_from(mode & 0o777).unwrap_or(0o600)
}

fn errno(refused: Refused) -> Errno {
    match refused {
        Refused::Missing => Errno::ENOENT,
        Refused::Exists => Errno::EEXIST,
        Refused::NotFolder => Errno::ENOTDIR,
        Refused::Folder => Errno::EISDIR,
        Refused::NotEmpty => Errno::ENOTEMPTY,
        Refused::Full => Errno::ENOSPC,
    }
}

impl Filesystem for Mounted {
    fn lookup(&self, request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let found = self.0.volume().lookup(parent.0, name);
        Self::entry(request, found.map_err(errno), reply);
    }

    fn getattr(
        &self,
        request: &Request,
        inode: INodeNo,
        _handle: Option<FileHandle>,
        reply: ReplyAttr,
    ) {
        match self.0.volume().attributes(inode.0) {
            Ok(found) => reply.attr(&NO_TIME, &Self::attributes(found, request)),
            Err(refused) => reply.error(errno(refused)),
        }
    }

    fn setattr(
        &self,
        request: &Request,
        inode: INodeNo,
        mode: Option<u32>,
        _uid: Option<u32>,
        _gid: Option<u32>,
        size: Option<u64>,
        _atime: Option<TimeOrNow>,
        _mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        _handle: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        if self.fails() {
            return reply.error(Errno::EIO);
        }
        let mut volume = self.0.volume();
        let sized = size.map_or(Ok(()), |size| volume.truncate(inode.0, size));
        let changed = sized.and_then(|()| match mode {
            Some(mode) => volume.set_mode(inode.0, permissions(mode)),
            None => Ok(()),
        });
        match changed.and_then(|()| volume.attributes(inode.0)) {
            Ok(found) => reply.attr(&NO_TIME, &Self::attributes(found, request)),
            Err(refused) => reply.error(errno(refused)),
        }
    }

    fn mkdir(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        reply: ReplyEntry,
    ) {
        Self::entry(request, self.make(parent, name, mode & !umask, true), reply);
    }

    fn create(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        _flags: i32,
        reply: ReplyCreate,
    ) {
        let made = self.make(parent, name, mode & !umask, false);
        let opened = made.and_then(|found| {
            let opened = self.0.volume().open(found.inode);
            opened.map(|()| found).map_err(errno)
        });
        match opened {
            Ok(found) => reply.created(
                &NO_TIME,
                &Self::attributes(found, request),
                Generation(0),
                FileHandle(0),
                FopenFlags::FOPEN_DIRECT_IO,
            ),
            Err(error) => reply.error(error),
        }
    }

    fn unlink(&self, _request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        self.change(|| self.0.volume().remove(parent.0, name, false), reply);
    }

    fn rmdir(&self, _request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        self.change(|| self.0.volume().remove(parent.0, name, true), reply);
    }

    fn rename(
        &self,
        _request: &Request,
        parent: INodeNo,
        name: &OsStr,
        new_parent: INodeNo,
        new_name: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        if !flags.is_empty() {
            return reply.error(Errno::EINVAL);
        }
        let (from, to) = ((parent.0, name), (new_parent.0, new_name));
        self.change(|| self.0.volume().rename(from, to), reply);
    }

    fn link(
        &self,
        request: &Request,
        inode: INodeNo,
        parent: INodeNo,
        name: &OsStr,
        reply: ReplyEntry,
    ) {
        let linked = self.0.volume().link(inode.0, parent.0, name);
        Self::entry(request, linked.map_err(errno), reply);
    }

    fn open(&self, _request: &Request, inode: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        match self.0.volume().open(inode.0) {
            Ok(()) => reply.opened(FileHandle(0), FopenFlags::FOPEN_DIRECT_IO),
            Err(refused) => reply.error(errno(refused)),
        }
    }

    fn release(
        &self,
        _request: &Request,
        inode: INodeNo,
        _handle: FileHandle,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        self.0.volume().close(inode.0);
        reply.ok();
    }

    fn read(
        &self,
        _request: &Request,
        inode: INodeNo,
        _handle: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        match self.0.volume().read(inode.0, offset, size) {
            Ok(bytes) => reply.data(bytes),
            Err(refused) => reply.error(errno(refused)),
        }
    }

    fn write(
        &self,
        _request: &Request,
        inode: INodeNo,
        _handle: FileHandle,
        offset: u64,
        data: &[u8],
        _write_flags: WriteFlags,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        if self.fails() {
            return reply.error(Errno::EIO);
        }
        match self.0.volume().write(inode.0, offset, data) {
            Ok(()) => reply.written(u32::try_from(data.len()).unwrap_or(u32::MAX)),
            Err(refused) => reply.error(errno(refused)),
        }
    }

    fn fsync(
        &self,
        _request: &Request,
        inode: INodeNo,
        _handle: FileHandle,
        _datasync: bool,
        reply: ReplyEmpty,
    ) {
        self.slowly();
        self.change(|| self.0.volume().sync(inode.0), reply);
    }

    fn fsyncdir(
        &self,
        _request: &Request,
        _inode: INodeNo,
        _handle: FileHandle,
        _datasync: bool,
        reply: ReplyEmpty,
    ) {
        self.slowly();
        let sync = || {
            self.0.volume().sync_names();
            Ok(())
        };
        self.change(sync, reply);
    }

    fn fallocate(
        &self,
        _request: &Request,
        inode: INodeNo,
        _handle: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        let end = offset.saturating_add(length);
        match mode {
            GROW | KEEP_SIZE => {
                let grows = mode == GROW;
                self.change(|| self.0.volume().allocate(inode.0, end, grows), reply);
            }
            _ => reply.error(Errno::EOPNOTSUPP),
        }
    }

    fn readdir(
        &self,
        _request: &Request,
        inode: INodeNo,
        _handle: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let names = match self.0.volume().list(inode.0) {
            Ok(names) => names,
            Err(refused) => return reply.error(errno(refused)),
        };
        let own = [".", ".."].map(|name| (name.into(), inode.0, FileType::Directory));
        let rows = own.into_iter().chain(
            names
                .into_iter()
                .map(|(name, found)| (name, found.inode, kind(found))),
        );
        let after = usize::try_from(offset).unwrap_or(usize::MAX);
        for (place, (name, inode, kind)) in (1u64..).zip(rows).skip(after) {
            if reply.add(INodeNo(inode.max(ROOT)), place, kind, &name) {
                break;
            }
        }
        reply.ok();
    }

    fn statfs(&self, _request: &Request, _inode: INodeNo, reply: ReplyStatfs) {
        let volume = self.0.volume();
        let blocks = |bytes: u64| bytes / u64::from(BLOCK);
        let free = volume.capacity().saturating_sub(volume.used());
        reply.statfs(
            blocks(volume.capacity()),
            blocks(free),
            blocks(free),
            1 << 20,
            1 << 19,
            BLOCK,
            NAME_BYTES_MAX,
            BLOCK,
        );
    }
}
