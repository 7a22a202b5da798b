# SPDX-License-Identifier: Apache-2.0
"""A small NFSv3 client (RFC 1813), without a kernel and without root.

Paths are bytes, below the export's root.  A call that is told to come back
later does, for a while; other refusals are NfsError with their number.
"""
import socket
import struct
import time

NOENT, IO, EXIST, NOTDIR, INVAL, NAMETOOLONG, NOTEMPTY, STALE = (
    2, 5, 17, 20, 22, 63, 66, 70)
JUKEBOX = 10008
PROGRAM, MOUNT = 100003, 100005
(GETATTR, SETATTR, LOOKUP, READLINK, READ, WRITE, CREATE, MKDIR, SYMLINK,
 REMOVE, RMDIR, RENAME, LINK, READDIRPLUS, COMMIT) = (
     1, 2, 3, 5, 6, 7, 8, 9, 10, 12, 13, 14, 15, 17, 21)
FILE, DIR, LNK = 1, 2, 5
CHUNK = 1 << 20


class NfsError(Exception):
    def __init__(self, status, what):
        super().__init__('%s: NFS error %d' % (what, status))
        self.status = status


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def u32(self):
        self.at += 4
        return struct.unpack_from('>I', self.data, self.at - 4)[0]

    def u64(self):
        self.at += 8
        return struct.unpack_from('>Q', self.data, self.at - 8)[0]

    def raw(self, n):
        self.at += n + (-n & 3)
        return self.data[self.at - n - (-n & 3):][:n]

    def opaque(self):
        return self.raw(self.u32())

    def attr(self):
        a = Attr()
        (a.type, a.mode, a.nlink, a.uid, a.gid, a.size, _used, _major, _minor,
         _fsid, a.fileid, _as, _an, a.mtime, a.mtime_ns, _cs,
         _cn) = struct.unpack_from('>IIIIIQQIIQQIIIIII', self.data, self.at)
        self.at += 84
        return a

    def post_attr(self):
        return self.attr() if self.u32() else None


class Attr:
    pass


def opaque(data):
    return struct.pack('>I', len(data)) + data + bytes(-len(data) & 3)


def sattr(mode=None, uid=None, gid=None, size=None, mtime=None):
    """mtime is (seconds, nanoseconds)"""
    out = b''
    for value in (mode, uid, gid):
        out += struct.pack('>I', 0) if value is None else \
            struct.pack('>II', 1, value)
    out += struct.pack('>I', 0) if size is None else \
        struct.pack('>IQ', 1, size)
    out += struct.pack('>I', 0)
    return out + (struct.pack('>I', 0) if mtime is None else
                  struct.pack('>III', 2, *mtime))


class Client:
    def __init__(self, port, export, patience=60):
        self.sock = socket.create_connection(('127.0.0.1', port), 30)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.settimeout(300)
        self.xid, self.patience = int(time.time() * 1000) & 0x7fffffff, patience
        r = self.rpc(MOUNT, 1, opaque(export.encode()))
        status = r.u32()
        if status:
            raise NfsError(status, 'MNT ' + export)
        self.root = r.opaque()

    def close(self):
        self.sock.close()

    def receive(self, n):
        parts = []
        while n > 0:
            part = self.sock.recv(min(n, CHUNK))
            if not part:
                raise OSError('the server closed the connection')
            parts.append(part)
            n -= len(part)
        return b''.join(parts)

    def rpc(self, program, proc, args):
        self.xid += 1
        cred = struct.pack('>I', 0) + opaque(b'stores') + \
            struct.pack('>III', 0, 0, 0)
        call = struct.pack('>IIIIIII', self.xid, 0, 2, program, 3, proc, 1) + \
            opaque(cred) + struct.pack('>II', 0, 0) + args
        self.sock.sendall(struct.pack('>I', 0x80000000 | len(call)) + call)
        while True:
            data, last = b'', False
            while not last:
                mark, = struct.unpack('>I', self.receive(4))
                last = bool(mark & 0x80000000)
                data += self.receive(mark & 0x7fffffff)
            if struct.unpack_from('>I', data)[0] == self.xid:
                break
        r = Reader(data)
        r.at = 8
        if r.u32():
            raise OSError('RPC denied')
        r.u32()
        r.opaque()
        if r.u32():
            raise OSError('RPC not accepted')
        return r

    def call(self, proc, args, what=''):
        end = time.monotonic() + self.patience
        while True:
            r = self.rpc(PROGRAM, proc, args)
            status = r.u32()
            if status != JUKEBOX or time.monotonic() > end:
                break
            time.sleep(0.05)
        if status:
            raise NfsError(status, what)
        return r

    # ---- handles ----

    def lookup(self, fh, name):
        return self.call(LOOKUP, opaque(fh) + opaque(name),
                         repr(name)).opaque()

    def fh(self, path):
        fh = self.root
        for name in path.split(b'/'):
            if name:
                fh = self.lookup(fh, name)
        return fh

    def place(self, path):
        """The arguments for a name in its directory."""
        head, _, name = path.rpartition(b'/')
        return opaque(self.fh(head)) + opaque(name)

    # ---- calls by path ----

    def getattr(self, path):
        return self.call(GETATTR, opaque(self.fh(path)), repr(path)).attr()

    def exists(self, path):
        try:
            self.fh(path)
            return True
        except NfsError as e:
            if e.status not in (NOENT, NOTDIR):
                raise
            return False

    def setattr(self, path, **what):
        self.call(SETATTR, opaque(self.fh(path)) + sattr(**what) +
                  struct.pack('>I', 0), repr(path))

    def create(self, path, **what):
        r = self.call(CREATE, self.place(path) + struct.pack('>I', 0) +
                      sattr(**what), repr(path))
        return r.opaque() if r.u32() else self.fh(path)

    def write_at(self, path, off, data, commit=True):
        fh = self.fh(path)
        for at in range(0, len(data), CHUNK):
            part = data[at:at + CHUNK]
            self.call(WRITE, opaque(fh) + struct.pack('>QII', off + at,
                      len(part), 0) + opaque(part), repr(path))
        if commit:
            self.commit(path)

    def commit(self, path):
        self.call(COMMIT, opaque(self.fh(path)) + struct.pack('>QI', 0, 0),
                  repr(path))

    def write(self, path, data, **what):
        """As open(O_CREAT | O_TRUNC), write and close do."""
        self.create(path, size=0, **what)
        self.write_at(path, 0, data)

    def read(self, path):
        """Whole; anew from its name if the object was replaced."""
        try:
            return self.read_once(path)
        except NfsError as e:
            if e.status != STALE:
                raise
            return self.read_once(path)

    def read_once(self, path):
        fh, out, at, eof = self.fh(path), [], 0, False
        while not eof:
            r = self.call(READ, opaque(fh) + struct.pack('>QI', at, CHUNK),
                          repr(path))
            r.post_attr()
            r.u32()
            eof = bool(r.u32())
            out.append(r.opaque())
            at += len(out[-1])
        return b''.join(out)

    def mkdir(self, path, **what):
        self.call(MKDIR, self.place(path) + sattr(**what), repr(path))

    def symlink(self, path, target):
        self.call(SYMLINK, self.place(path) + sattr() + opaque(target),
                  repr(path))

    def readlink(self, path):
        r = self.call(READLINK, opaque(self.fh(path)), repr(path))
        r.post_attr()
        return r.opaque()

    def remove(self, path):
        self.call(REMOVE, self.place(path), repr(path))

    def rmdir(self, path):
        self.call(RMDIR, self.place(path), repr(path))

    def rename(self, old, new):
        self.call(RENAME, self.place(old) + self.place(new), repr(old))

    def link(self, path, new):
        self.call(LINK, opaque(self.fh(path)) + self.place(new), repr(new))

    def list(self, path):
        """[(name, Attr or None)], as often as they are told."""
        fh, out, cookie, verf, eof = self.fh(path), [], 0, bytes(8), False
        while not eof:
            r = self.call(READDIRPLUS, opaque(fh) + struct.pack('>Q', cookie) +
                          verf + struct.pack('>II', 65536, 262144),
                          repr(path))
            r.post_attr()
            verf = r.raw(8)
            while r.u32():
                r.u64()
                name, cookie = r.opaque(), r.u64()
                a = r.post_attr()
                if r.u32():
                    r.opaque()
                if name not in (b'.', b'..'):
                    out.append((name, a))
            eof = bool(r.u32())
        return out

    def walk(self, path=b'', flat=b'/'):
        """Each thing below: (path, Attr).  Of the directory `flat` what
        READDIRPLUS tells, and no more."""
        for name, a in self.list(path):
            below = path + b'/' + name if path else name
            if path != flat or a is None:
                a = self.getattr(below)
            yield below, a
            if a.type == DIR and path != flat:
                yield from self.walk(below, flat)
