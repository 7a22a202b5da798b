#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What one store holds of what the gateway promises, line by line, over NFS.

  conform.py STORE BUILD WORKDIR BUCKET [LINE|-LINE]...

BUCKET is s3://NAME, with S3_ENDPOINT, AWS_ACCESS_KEY_ID and
AWS_SECRET_ACCESS_KEY as stores.sh writes them, or file:///DIR.  It is used up.
Each line of LINES is a story with a gateway of the build, looked at through
NFS and in the bucket; what it leaves is compared by a gateway that has nothing
but the bucket.  One line each, `ok STORE-LINE`, `FAIL STORE-LINE`; and what
the table has to say of it goes to WORKDIR/STORE.row.  What a store is known
not to be able to do stands in LIMITS: the line must then end as told there,
and is ok.
"""
import hashlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
import traceback
from concurrent.futures import ThreadPoolExecutor

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import bucket                   # noqa: E402
import nfs                      # noqa: E402
from limits import KEYS, LIMITS       # noqa: E402

MIB = 1 << 20
SETTLE_S = 120         # for the bucket to have what it was given
META = 'x-amz-meta-'


class Failed(Exception):
    pass


class Skipped(Exception):
    pass


def expect(true, text, *about):
    if not true:
        raise Failed(text + ''.join(': %r' % (a,) for a in about)[:1000])


def within(seconds, text, function):
    end = time.monotonic() + seconds
    while not function():
        expect(time.monotonic() < end, 'not within %g s: %s' % (seconds, text))
        time.sleep(0.1)


def noise(n, seed):
    return random.Random(seed).randbytes(n)


class Gateway:
    """One daemon with a state directory of its own."""
    def __init__(self, c, name):
        self.c, self.state = c, os.path.join(c.work, name)
        self.log = os.path.join(c.work, name + '.log')
        self.process = self.nfs = None
        os.makedirs(self.state)
        self.start()

    def start(self):
        c = self.c
        with open(self.log, 'ab') as log:
            begin = log.tell()
            self.process = subprocess.Popen(
                [c.build + '/s3nfsd', '--bucket', c.url, '--portmap', 'off',
                 '--listen', '127.0.0.1:0', '--state-dir', self.state,
                 '--set', 'export.settle_ms=200', '--set',
                 'export.attr_ttl_ms=300'] +
                (['--endpoint', os.environ['S3_ENDPOINT']]
                 if c.url.startswith('s3:') else []),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)

        def serving():
            with open(self.log, 'rb') as f:
                f.seek(begin)
                text = f.read().decode(errors='replace')
            expect(self.process.poll() is None, 'the gateway ended', text)
            return re.search(r'serving (/\S+) on \S*:(\d+) ', text)

        within(60, 'the gateway serves', serving)
        export, port = serving().groups()
        self.nfs = nfs.Client(int(port), export)

    def said(self):
        with open(self.log, 'rb') as f:
            return f.read()

    def kill(self):
        self.nfs.close()
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.nfs.close()
        self.process.terminate()
        expect(self.process.wait(120) == 0, 'the gateway ends in order')

    def ctl(self, *command):
        r = subprocess.run([self.c.build + '/s3nfsctl', '--json',
                            '--state-dir', self.state, *command],
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           text=True)
        try:
            return json.loads(r.stdout)
        except ValueError:
            return r.stdout

    def owed(self):
        s = self.ctl('status')
        return {k: s[k] for k in ('handles_active', 'handles_pending',
                                  'uploads', 'deletes', 'moves',
                                  'staged_bytes')
                if s[k]}

    def settled(self):
        """All that it was given is in the bucket, and nothing kept back."""
        end = time.monotonic() + SETTLE_S
        self.ctl('flush', '--all', '--timeout', '%d' % SETTLE_S)
        while self.owed():
            expect(time.monotonic() < end, 'still owed to the bucket',
                   self.owed(), self.ctl('uploads'))
            time.sleep(0.05)
        kept = self.ctl('quarantine', 'list')
        expect(not kept, 'in quarantine', kept)


class Conform:
    def __init__(self, store, build, work, url):
        self.store, self.build, self.work, self.url = store, build, work, url
        self.bucket = bucket.Local(url[7:]) if url.startswith('file:') else \
            bucket.Remote(os.environ, url[5:])
        self.bucket.make()
        self.runs = 0
        self.gateway = Gateway(self, 'state')

    @property
    def nfs(self):
        return self.gateway.nfs

    def anew(self):
        """After a line that failed, the next begins with the bucket alone."""
        self.runs += 1
        if self.gateway is not None:
            self.gateway.kill()
            self.gateway = None
        self.gateway = Gateway(self, 'state-%d' % self.runs)

    def holds(self, path, data):
        """Both the gateway and the bucket have these bytes."""
        self.gateway.settled()
        self.same(self.nfs.read(path), data, 'over NFS', path)
        self.same(self.bucket.get(path), data, 'in the bucket', path)

    def same(self, got, want, where, path):
        if got != want:
            at = next((i for i, (a, b) in enumerate(zip(got or b'', want))
                       if a != b), None)
            raise Failed('%s %s: %s bytes, not %d; first other byte at %s' % (
                path, where, 'no' if got is None else len(got), len(want),
                at))

    def absent(self, path):
        self.gateway.settled()
        expect(not self.nfs.exists(path), 'still there over NFS', path)
        expect(self.bucket.get(path) is None, 'still in the bucket', path)

    def meta(self, path, name):
        """The object's, or the wanted value where we cannot look."""
        if isinstance(self.bucket, bucket.Local):
            return None
        return self.bucket.head(path).get(META + name)


# ---- the lines ----

def create_small(c):
    c.nfs.write(b'small', b'a few bytes\n')
    c.nfs.mkdir(b'dir')
    c.nfs.write(b'dir/below', b'deeper\n')
    c.nfs.write(b'empty', b'')
    c.holds(b'small', b'a few bytes\n')
    c.holds(b'dir/below', b'deeper\n')
    c.holds(b'empty', b'')


def create_20(c):
    c.nfs.write(b'large', noise(20 * MIB, 20))
    c.holds(b'large', noise(20 * MIB, 20))


def create_200(c):
    c.nfs.write(b'huge', noise(200 * MIB, 200))
    c.holds(b'huge', noise(200 * MIB, 200))


def overwrite(c):
    for data in b'one', b'another, longer', b'two':
        c.nfs.write(b'over', data)
        c.holds(b'over', data)
    c.nfs.write(b'over-large', noise(18 * MIB, 1))
    c.holds(b'over-large', noise(18 * MIB, 1))
    c.nfs.write(b'over-large', noise(19 * MIB, 2))
    c.holds(b'over-large', noise(19 * MIB, 2))


def append(c):
    c.nfs.write(b'append', b'begin;')
    c.holds(b'append', b'begin;')
    c.nfs.write_at(b'append', 6, b'end')
    c.holds(b'append', b'begin;end')
    data = noise(20 * MIB, 3)
    c.nfs.write(b'append-large', data)
    c.gateway.settled()
    c.nfs.write_at(b'append-large', len(data), b'tail')
    c.holds(b'append-large', data + b'tail')


def patch(c):
    data = bytearray(noise(20 * MIB, 4))
    c.nfs.write(b'patch', bytes(data))
    c.nfs.write(b'patch-small', b'0123456789')
    c.gateway.settled()
    for at in 7 * MIB + 3, 12 * MIB, 20 * MIB - 5, 0:
        data[at:at + 5] = b'PATCH'
        c.nfs.write_at(b'patch', at, b'PATCH')
        c.gateway.settled()
    c.nfs.write_at(b'patch-small', 3, b'xy')
    c.holds(b'patch', bytes(data))
    c.holds(b'patch-small', b'012xy56789')


def truncate(c):
    data = noise(20 * MIB, 5)
    c.nfs.write(b'cut', data)
    c.nfs.write(b'cut-small', b'0123456789')
    c.gateway.settled()
    c.nfs.setattr(b'cut', size=18 * MIB)
    c.nfs.setattr(b'cut-small', size=4)
    c.holds(b'cut', data[:18 * MIB])
    c.holds(b'cut-small', b'0123')
    c.nfs.setattr(b'cut', size=18 * MIB + 9)
    c.nfs.setattr(b'cut-small', size=6)
    c.holds(b'cut', data[:18 * MIB] + bytes(9))
    c.holds(b'cut-small', b'0123\0\0')
    c.nfs.setattr(b'cut', size=0)
    c.holds(b'cut', b'')


def has_attr(c, path, **want):
    c.gateway.settled()
    a = c.nfs.getattr(path)
    for name, value in want.items():
        expect(getattr(a, name) == value, 'attribute', path, name, value,
               getattr(a, name))


def chmod(c):
    c.nfs.write(b'mode', b'mode')
    c.nfs.mkdir(b'mode-dir')
    c.gateway.settled()
    c.nfs.setattr(b'mode', mode=0o4751)
    c.nfs.setattr(b'mode-dir', mode=0o1730)
    c.nfs.setattr(b'large', mode=0o600)
    has_attr(c, b'mode', mode=0o4751)
    has_attr(c, b'mode-dir', mode=0o1730)
    expect(c.meta(b'mode', 'file-permissions') in (None, '0104751'),
           'in the bucket', c.meta(b'mode', 'file-permissions'))
    expect(c.meta(b'large', 'file-permissions') in (None, '0100600'),
           'in the bucket', c.meta(b'large', 'file-permissions'))
    c.holds(b'mode', b'mode')
    c.holds(b'large', noise(20 * MIB, 20))


def chown(c):
    c.nfs.write(b'owner', b'owner')
    c.gateway.settled()
    c.nfs.setattr(b'owner', uid=4001, gid=4002)
    has_attr(c, b'owner', uid=4001, gid=4002)
    expect(c.meta(b'owner', 'file-owner') in (None, '4001'), 'in the bucket')
    c.holds(b'owner', b'owner')


def times(c):
    c.nfs.write(b'times', b'times')
    c.gateway.settled()
    c.nfs.setattr(b'times', mtime=(1234567890, 123456789))
    has_attr(c, b'times', mtime=1234567890, mtime_ns=123456789)
    expect(c.meta(b'times', 'file-mtime') in
           (None, '1234567890123456789ns'), 'in the bucket')
    c.nfs.write(b'times', b'later')
    c.holds(b'times', b'later')
    expect(c.nfs.getattr(b'times').mtime > 1700000000, 'moves on')


def rename_file(c):
    c.nfs.write(b'name', b'under one name')
    c.nfs.setattr(b'name', mode=0o640)
    c.gateway.settled()
    c.nfs.rename(b'name', b'dir/renamed')
    c.holds(b'dir/renamed', b'under one name')
    has_attr(c, b'dir/renamed', mode=0o640)
    c.absent(b'name')
    c.nfs.write(b'quick', b'not yet in the bucket')
    c.nfs.rename(b'quick', b'quick-renamed')
    c.holds(b'quick-renamed', b'not yet in the bucket')
    c.absent(b'quick')


def rename_large(c):
    size = 200 * MIB if c.nfs.exists(b'huge') else 24 * MIB
    if size < 200 * MIB:        # that line was not played
        c.nfs.write(b'huge', noise(size, 200))
        c.gateway.settled()
    c.nfs.rename(b'huge', b'huge-renamed')
    c.holds(b'huge-renamed', noise(size, 200))
    c.absent(b'huge')


def rename_dir(c):
    c.nfs.mkdir(b'tree')
    c.nfs.mkdir(b'tree/sub')
    for i in range(30):
        c.nfs.write(b'tree/f%02d' % i, b'tree %d' % i)
        c.nfs.write(b'tree/sub/g%02d' % i, b'sub %d' % i)
    c.nfs.setattr(b'tree/sub', mode=0o711)
    c.nfs.setattr(b'tree/f07', mode=0o604)
    c.gateway.settled()
    c.nfs.rename(b'tree', b'dir/moved')
    c.gateway.settled()
    for i in range(30):
        c.holds(b'dir/moved/f%02d' % i, b'tree %d' % i)
        c.holds(b'dir/moved/sub/g%02d' % i, b'sub %d' % i)
    has_attr(c, b'dir/moved/f07', mode=0o604)
    has_attr(c, b'dir/moved/sub', mode=0o711)
    expect(not c.nfs.exists(b'tree'), 'the old name')
    expect(c.bucket.list('tree/') == [], 'left under the old name',
           c.bucket.list('tree/'))


def rename_over(c):
    c.nfs.write(b'target', b'old')
    c.gateway.settled()
    c.nfs.write(b'.target.new', b'saved as editors do')
    c.nfs.rename(b'.target.new', b'target')
    c.holds(b'target', b'saved as editors do')
    c.nfs.write(b'other', b'other')
    c.gateway.settled()
    c.nfs.rename(b'other', b'target')
    c.holds(b'target', b'other')
    c.absent(b'other')
    c.absent(b'.target.new')


def hard_link(c):
    c.nfs.write(b'link-a', b'first')
    c.gateway.settled()
    c.nfs.link(b'link-a', b'dir/link-b')
    c.holds(b'dir/link-b', b'first')
    has_attr(c, b'link-a', nlink=2)
    c.nfs.write_at(b'dir/link-b', 0, b'FIRST')
    c.holds(b'link-a', b'FIRST')
    c.holds(b'dir/link-b', b'FIRST')
    c.nfs.link(b'link-a', b'link-c')
    c.nfs.remove(b'link-a')
    c.holds(b'link-c', b'FIRST')
    has_attr(c, b'link-c', nlink=2)


def symlink(c):
    c.nfs.symlink(b'sym', b'dir/below')
    c.gateway.settled()
    expect(c.nfs.readlink(b'sym') == b'dir/below', 'its target')
    expect(c.bucket.get(b'sym') == b'dir/below', 'in the bucket')


def remove(c):
    c.nfs.write(b'gone', b'gone')
    c.nfs.mkdir(b'gone-dir')
    c.nfs.write(b'gone-dir/f', b'gone')
    c.gateway.settled()
    c.nfs.remove(b'gone')
    c.nfs.remove(b'gone-dir/f')
    c.nfs.rmdir(b'gone-dir')
    c.absent(b'gone')
    c.absent(b'gone-dir/f')
    expect(c.bucket.list('gone') == [], 'left', c.bucket.list('gone'))
    expect(not c.nfs.exists(b'gone-dir'), 'the directory')


def list_2500(c):
    keys = [b'many/f%04d' % i if i % 10 else b'many/d%04d/f' % i
            for i in range(2500)]
    with ThreadPoolExecutor(16) as pool:
        for done in [pool.submit(c.bucket.put, k, b'x') for k in keys]:
            done.result()
    within(60, 'the directory is seen', lambda: c.nfs.exists(b'many'))
    within(60, 'all names are told',
           lambda: len(c.nfs.list(b'many')) >= 2500)
    names = [n for n, _ in c.nfs.list(b'many')]
    want = sorted(k.split(b'/')[1] for k in keys)
    expect(sorted(names) == want, 'each name once',
           len(names), len(set(names)), sorted(set(want) ^ set(names))[:9])


# Keys as others make them; in each the text is the key.
ODD = [b'odd/' + k for k in (
    b'blank in it', b'plus+plus', b'per%cent', b'per%25cent', b'100%',
    b'a&b=c', b'semi;colon', b'quote\'s', b'double"quote', b'<angle>',
    b'back\\slash', b'star*', b'what?', b'hash#', b'colon:', b'at@',
    b'comma,', b'[brackets]', b'{braces}', b'tilde~', b'caret^', b'pipe|',
    b'dollar$', b'(paren)', b'exclam!', 'caf\u00e9'.encode(),
    'cafe\u0301'.encode(), '\u65e5\u672c'.encode(), '\U0001f600'.encode(),
    b' leading', b'trailing ', b'.hidden', b'dot.', b'tab\there',
    b'new\nline', b'control\x01', b'slash//slash', b'dot/./dot',
    b'L' * 300)]
# Names as clients make them.
ODD_NAMES = [k[4:] for k in ODD if b'/' not in k[4:] and len(k) < 255] + [
    b'latin\xe9', b'fffe\xef\xbf\xbe']


def others_keys(c, found):
    """Objects that others make under odd keys, as they are seen over NFS."""
    there = []
    for key in ODD:
        try:
            c.bucket.put(key, key)
            if c.bucket.get(key) == key:
                there.append(key)
        except bucket.Refused:
            pass

    def texts():
        if not c.nfs.exists(b'odd'):
            return {}
        return {c.nfs.read(p): p for p, a in c.nfs.walk(b'odd')
                if a.type == nfs.FILE}

    end = time.monotonic() + 15
    while set(there) - set(texts()) and time.monotonic() < end:
        time.sleep(0.3)
    seen = texts()
    found['untaken'] = [k for k in ODD if k not in there]
    found['unseen'] = [k for k in there if k not in seen]
    found['renamed'] = [k for k in there if k in seen and b'%s3' not in
                        seen[k] and seen[k] != k]


def own_names(c, found):
    c.nfs.mkdir(b'ours')
    for name in ODD_NAMES:
        try:
            c.nfs.write(b'ours/' + name, name)
        except nfs.NfsError as e:
            expect(e.status == nfs.INVAL, 'refused by name', e)
            found['refused'].append(name)
    c.gateway.settled()
    c.anew()            # nothing but the bucket
    for name in ODD_NAMES:
        if name in found['refused']:
            expect(not c.nfs.exists(b'ours/' + name), 'refused, and there',
                   name)
        elif not c.nfs.exists(b'ours/' + name) or \
                c.nfs.read(b'ours/' + name) != name:
            found['lost'].append(name)


def odd_keys(c):
    known = KEYS.get(c.store, {})
    found = {kind: [] for kind in ('untaken', 'unseen', 'renamed', 'refused',
                                   'lost')}
    if known.get('refused'):
        within(180, 'it says what the store does not keep', lambda:
               b'does not keep in keys' in c.gateway.said())
    others_keys(c, found)
    own_names(c, found)
    strip = lambda keys: sorted(k[4:] if k.startswith(b'odd/') else k
                                for k in keys)
    bad = ['%s: %s, in limits.py: %s' % (
        kind, strip(keys), sorted(known.get(kind, [])))
        for kind, keys in found.items()
        if strip(keys) != sorted(known.get(kind, []))]
    expect(not bad, '; '.join(bad).replace('L' * 300, 'LONG'))
    c.note = '; '.join('%s: %s' % (text, ' '.join(
        '`%s`' % show(k) for k in strip(found[kind])))
        for kind, text in KINDS.items() if found[kind])


KINDS = {
    'untaken': 'the store refuses', 'unseen': 'it does not list',
    'renamed': 'it lists otherwise',
    'refused': 'names refused at once (EINVAL)', 'lost': 'it cannot hold',
}


def show(key):
    if len(key) > 99:
        return '300 bytes'
    return ascii(key.decode(errors='surrogateescape'))[1:-1]


def lives_on(c, name, kept):
    """What others gave an object goes through all that is done to it."""
    kept(name)
    within(60, 'it is seen', lambda: c.nfs.exists(name))
    c.nfs.write_at(name, 5, b', second')
    kept(name)
    c.nfs.setattr(name, mode=0o600)
    kept(name)
    c.nfs.rename(name, b'dir/' + name)
    kept(b'dir/' + name)
    c.nfs.rename(b'dir', b'dir2')
    kept(b'dir2/' + name)
    c.nfs.rename(b'dir2', b'dir')
    c.nfs.write_at(b'dir/' + name, 0, noise(18 * MIB, 6))
    kept(b'dir/' + name)


def foreign_kept(c):
    if isinstance(c.bucket, bucket.Local):
        raise Skipped('nobody else gives it headers')
    headers = {'content-type': 'text/x-odd; a=b', META + 'project':
               'apollo 11', 'cache-control': 'max-age=77'}

    def kept(path):
        c.gateway.settled()
        h = c.bucket.head(path)
        for name, value in headers.items():
            # Jackson and werkzeug write the parameter in their own way.
            expect((h.get(name) or '').replace(' ', '') ==
                   value.replace(' ', ''), 'lost', path, name, h.get(name))

    c.bucket.put(b'foreign', b'first', headers)
    lives_on(c, b'foreign', kept)
    c.holds(b'dir/foreign', noise(18 * MIB, 6))


def tags_kept(c):
    if isinstance(c.bucket, bucket.Local):
        raise Skipped('it has no tags')
    want = {'team': 'a+b c', 'stage': 'two'}

    def kept(path):
        c.gateway.settled()
        expect(c.bucket.tags(path) == want, 'tags', path, c.bucket.tags(path))

    try:
        c.bucket.put(b'tagged', b'first', {
            'x-amz-tagging': 'team=a%2Bb%20c&stage=two'})
        if c.bucket.tags(b'tagged') != want:
            c.bucket.delete(b'tagged')
            raise Skipped('it has no tags')
    except (bucket.Refused, bucket.ET.ParseError):
        raise Skipped('it has no tags')
    lives_on(c, b'tagged', kept)


def outside(c):
    c.nfs.write(b'outside', b'ours')
    c.gateway.settled()
    c.bucket.put(b'outside', b'theirs, longer')
    within(60, 'what they wrote', lambda: c.nfs.read(b'outside') ==
           b'theirs, longer')
    c.bucket.put(b'outside-new', b'new')
    within(60, 'a new one', lambda: b'outside-new' in
           [n for n, _ in c.nfs.list(b'')])
    expect(c.nfs.read(b'outside-new') == b'new', 'its bytes')
    c.nfs.write_at(b'outside', 0, b'OURS, ')
    c.holds(b'outside', b'OURS, , longer')
    c.bucket.delete(b'outside-new')
    within(60, 'it is gone', lambda: not c.nfs.exists(b'outside-new'))


def conflict(c):
    """Neither side is lost, whoever is first."""
    for name, data in ((b'clash', b'both'), (b'clash-large',
                                              noise(18 * MIB, 8))):
        c.nfs.write(name, data)
        c.gateway.settled()
        c.nfs.write_at(name, 0, b'OURS', commit=False)
        c.bucket.put(name, b'theirs')
        c.nfs.commit(name)
        c.gateway.settled()
        expect(c.bucket.get(name) == b'theirs', 'theirs', name)
        within(60, 'what they wrote',
               lambda: c.nfs.read(name) == b'theirs')
        aside = lambda: [n for n, _ in c.nfs.list(b'')
                         if n.startswith(name + b'.conflict')]
        within(60, 'ours beside it', aside)
        ours = aside()
        expect(len(ours) == 1, 'one of ours', ours)
        c.same(c.nfs.read(ours[0]), b'OURS' + data[4:], 'kept', ours[0])
        c.same(c.bucket.get(ours[0]), b'OURS' + data[4:], 'kept', ours[0])


def killed(c):
    data = noise(36 * MIB, 9)
    c.nfs.mkdir(b'crash')
    for i in range(40):
        c.nfs.write(b'crash/f%02d' % i, b'%d' % i)
    c.gateway.settled()
    for ms in 0, 300, 900:
        c.nfs.write(b'crash-large', data)
        c.nfs.write(b'crash-small-%d' % ms, b'committed')
        old, new = (b'crash', b'crash-moved') if c.nfs.exists(b'crash') else \
            (b'crash-moved', b'crash')
        c.nfs.rename(old, new)
        c.nfs.setattr(new + b'/f00', mode=0o640)
        time.sleep(ms / 1000)
        c.gateway.kill()
        c.gateway.start()
        c.holds(b'crash-large', data)
        c.holds(b'crash-small-%d' % ms, b'committed')
        for i in range(40):
            c.holds(new + b'/f%02d' % i, b'%d' % i)
        has_attr(c, new + b'/f00', mode=0o640)
        expect(not c.nfs.exists(old), 'the old name')
        data = b'again' + data[5:]


def snapshot(c):
    shot = {}
    for path, a in c.nfs.walk(flat=b'many'):
        if path.startswith(b'many/'):
            shot[path] = (a.type, a.size if a.type == nfs.FILE else 0)
            continue
        body = b''
        if a.type == nfs.FILE:
            body = hashlib.sha256(c.nfs.read(path)).hexdigest()
        elif a.type == nfs.LNK:
            body = c.nfs.readlink(path)
        what = ['type=%d' % a.type, 'mode=%o' % a.mode, 'uid=%d' % a.uid,
                'gid=%d' % a.gid, 'body=%r' % body]
        if a.type == nfs.FILE:
            what += ['nlink=%d' % a.nlink, 'size=%d' % a.size,
                     'mtime=%d.%09d' % (a.mtime, a.mtime_ns)]
        shot[path] = tuple(what)
    return shot


def fresh_gateway(c):
    c.gateway.settled()
    before = snapshot(c)
    c.gateway.stop()
    c.gateway = None
    c.anew()
    after = snapshot(c)
    # Objects that nobody gave an mtime have the store's, to a second.
    whole = lambda what: tuple(re.sub(r'^(mtime=\d+)\..*', r'\1', str(w))
                               for w in what)
    bad = ['%r: %s' % (p, set(whole(before.get(p, ('absent',)))) ^
                       set(whole(after.get(p, ('absent',)))))
           for p in sorted(set(before) | set(after))
           if whole(before.get(p, ())) != whole(after.get(p, ()))]
    expect(not bad, '%d differ' % len(bad), bad[:8])


def no_leftovers(c):
    c.gateway.settled()
    c.gateway.stop()
    within(60, 'uploads go', lambda: not c.bucket.uploads())
    probes = [k for k in c.bucket.list() if b's3nfsd-probe' in k]
    expect(not probes, 'scratch keys', probes)
    old = [k for k in c.bucket.list() if re.match(
        rb'name$|quick$|other$|huge$|tree/|gone|link-a$|tagged$|foreign$|dir2',
        k)]
    expect(not old, 'objects that are gone over NFS', old)
    c.gateway = None


LINES = [
    ('create small', create_small), ('create 20 MiB', create_20),
    ('create 200 MiB', create_200), ('overwrite', overwrite),
    ('append', append), ('patch', patch), ('truncate', truncate),
    ('chmod', chmod), ('chown', chown), ('times', times),
    ('rename file', rename_file), ('rename large file', rename_large),
    ('rename directory', rename_dir), ('rename over', rename_over),
    ('hard link', hard_link), ('symlink', symlink), ('remove', remove),
    ('list 2,500', list_2500), ('39 odd keys', odd_keys),
    ('metadata, type kept', foreign_kept), ('tags kept', tags_kept),
    ('outside change', outside), ('conflict', conflict),
    ('kill -9', killed), ('fresh gateway', fresh_gateway),
    ('no leftovers', no_leftovers),
]


def dishonoured(log):
    """What the gateway found that this store does not honour."""
    with open(log, errors='replace') as f:
        found = re.search(r'does not honour: (.*?);', f.read())
    return found.group(1) if found else ''


def play(c, name, function):
    """(word for the table, note, is it as it should be?)"""
    word, ends, why = LIMITS.get((c.store, name), (None, None, None))
    c.note = ''
    try:
        function(c)
    except Exception as e:
        if word is not None and re.search(ends, str(e)):
            return word, why, True
        if not isinstance(e, (Failed, Skipped)):
            traceback.print_exc(file=sys.stdout)
        return 'FAIL', '%s' % e, False
    if word is not None:
        return 'FAIL', 'limits.py says: ' + why, False
    return 'degraded' if c.note else 'yes', c.note, True


def save_row(path, row):
    """Lines that were not played stay as they are."""
    if os.path.exists(path):
        with open(path) as f:
            old = {line['line']: line for line in json.load(f)['lines']}
        old.update({line['line']: line for line in row['lines']})
        row['lines'] = [old[name] for name, _ in LINES if name in old]
    with open(path, 'w') as f:
        json.dump(row, f, indent=1)


def main():
    store, build, work, url = sys.argv[1:5]
    c = Conform(store, build, work, url)
    row, failed = [], 0
    only = {a for a in sys.argv[5:] if a[0] != '-'}
    for name, function in LINES:
        if only and name not in only or '-' + name in sys.argv[5:]:
            continue
        begun = time.monotonic()
        word, note, good = play(c, name, function)
        row.append({'line': name, 'word': word, 'note': note})
        failed += not good
        print('%s %s-%s %s(%.1f s)%s' % (
            'ok' if good else 'FAIL', store, re.sub(r'[ ,]+', '_', name),
            '' if word == 'yes' else word + ' ', time.monotonic() - begun,
            ' ' + note if note else ''), flush=True)
        save_row(os.path.join(work, store + '.row'), {
            'store': store, 'lines': row,
            'missing': dishonoured(os.path.join(work, 'state.log'))})
        if c.gateway is not None and word != 'yes':
            c.anew()
    if c.gateway is not None:
        c.gateway.kill()
    sys.exit(failed > 0)


if __name__ == '__main__':
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    main()
