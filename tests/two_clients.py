#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The scenarios of check-two-clients, one a call: two_clients.py s01.

Two real Linux clients, alpha (A) and beta (B), have the exports below /mnt.
What is asserted is what applications there see (bytes, errno, how long a call
took), what is in the bucket, in which order it came there (the daemon's log
of S3 calls, see s3/fault.c), and what `s3nfsctl handles` says.

From check-two-clients: ALPHA BETA (addresses), APP_PORT, GATEWAY_STATE,
S3NFSCTL, CALLS (that log), FIGURES (a file for what was measured), BUCKET_DIR
or S3_BUCKET with the S3 settings of radosgw.sh.

Exports: /plain has every setting's default; /late uploads only when it has
to (settle_ms); /firm refuses after 4 s (busy_limit_ms); /brief gives a silent
writer 3 s (lease_ms).
"""
import ast
import hashlib
import json
import os
import socket
import subprocess
import sys
import time

ENV = os.environ
EACCES, EIO = 13, 5
CUT_MIB = 32            # size of a file whose writer is to be caught
KEEPALIVE = ((socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
             (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1))


class Failed(Exception):
    pass


def expect(true, text, *about):
    if not true:
        raise Failed(text + ''.join(': %r' % (a,) for a in about))


def figure(text):
    with open(ENV['FIGURES'], 'a') as f:
        f.write(text + '\n')


def within(seconds, text, function):
    """Again and again until it is true; the seconds that took."""
    begun = time.monotonic()
    while True:
        seen = function()
        if seen:
            return time.monotonic() - begun
        expect(time.monotonic() - begun < seconds,
               'not within %g s: %s' % (seconds, text))
        time.sleep(0.1)


# ---- applications on the clients ----

class App:
    """One process on a client."""
    def __init__(self, name):
        self.name = name
        self.conn = socket.create_connection(
            (ENV[name.upper()], int(ENV['APP_PORT'])), 20)
        for option in KEEPALIVE:
            self.conn.setsockopt(*option)
        self.lines = self.conn.makefile('r')

    def begin(self, code):
        self.conn.sendall(json.dumps({'code': code}).encode() + b'\n')

    def end(self, seconds=100, may_fail=False):
        self.conn.settimeout(seconds)
        try:
            line = self.lines.readline()
        except (socket.timeout, TimeoutError):
            raise Failed('%s: no answer within %g s' % (self.name, seconds))
        expect(line, '%s: the application is gone' % self.name)
        reply = json.loads(line)
        expect(reply['errno'] >= 0, self.name, reply['error'])
        if not may_fail:
            expect(reply['errno'] == 0, self.name + ': errno', reply['error'])
        reply['value'] = ast.literal_eval(reply['value'])
        return reply

    def busy(self, seconds):
        """Is what was begun still not done after that time?"""
        self.conn.settimeout(seconds)
        try:
            return len(self.conn.recv(1, socket.MSG_PEEK)) == 0
        except (socket.timeout, TimeoutError, BlockingIOError):
            return True

    def run(self, code, seconds=100):
        self.begin(code)
        return self.end(seconds)

    def value(self, code, seconds=100):
        return self.run(code, seconds)['value']

    def fails(self, code, seconds=100):
        self.begin(code)
        return self.end(seconds, may_fail=True)


# ---- the gateway ----

def ctl(*command):
    r = subprocess.run([ENV['S3NFSCTL'], '--state-dir', ENV['GATEWAY_STATE'],
                        '--json', *command], stdout=subprocess.PIPE,
                       stderr=subprocess.PIPE, text=True)
    expect(r.returncode == 0, 's3nfsctl ' + ' '.join(command),
           r.stdout + r.stderr)
    return json.loads(r.stdout) if r.stdout.strip() else None


def handles(path):
    """{machine name: state}"""
    rows = [h for h in ctl('handles') if h['path'] == path]
    return {h['client'].split('@')[0]: h['state'] for h in rows}


def uncommitted(path):
    return sum(h['uncommitted_bytes'] for h in ctl('handles')
               if h['path'] == path)


def holds(path, who, *states):
    return handles(path).get(who) in states


def flushed_all():
    ctl('flush', '--all')


# ---- the bucket ----

def object_get(path):
    """Bytes of the object that is this file, or None."""
    key = path.lstrip('/')
    if 'BUCKET_DIR' in ENV:
        try:
            with open(os.path.join(ENV['BUCKET_DIR'], key), 'rb') as f:
                return f.read()
        except FileNotFoundError:
            return None
    code, body = s3_get('/' + key)
    expect(code in (200, 404), 'GET %s' % key, code)
    return body if code == 200 else None


def s3_get(what):
    r = subprocess.run(
        ['curl', '-sS', '-w', '%{stderr}%{http_code}', '--aws-sigv4',
         'aws:amz:%s:s3' % ENV['AWS_DEFAULT_REGION'], '--user',
         ENV['AWS_ACCESS_KEY_ID'] + ':' + ENV['AWS_SECRET_ACCESS_KEY'],
         '-H', 'x-amz-content-sha256: UNSIGNED-PAYLOAD',
         ENV['S3_ENDPOINT'] + '/' + ENV['S3_BUCKET'] + what],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    expect(r.returncode == 0, 'curl', r.stderr)
    return int(r.stderr), r.stdout


def bucket_names():
    """Everything in it, as text to search in."""
    if 'BUCKET_DIR' in ENV:
        return '\n'.join(os.path.join(top, n)
                         for top, dirs, names in os.walk(ENV['BUCKET_DIR'])
                         if '/.s3nfsd' not in top for n in names)
    code, body = s3_get('')
    expect(code == 200, 'list', code)
    return body.decode()


def calls(name):
    """S3 calls about this file that ended well: [(op, bytes, source)]"""
    found = []
    with open(ENV['CALLS']) as f:
        for line in f:
            (ms, _number, phase, op, key, size, result,
             source) = line.split()
            if phase == 'end' and int(result) >= 0 and \
               (key.split('/')[-1] == name or source.split('/')[-1] == name):
                found.append((op, int(size), source))
    return found


def versions(name):
    return [c for c in calls(name) if c[0] in ('put', 'complete', 'copy')]


def watch(path, seconds, app):
    """Who was seen as what, while the application is busy"""
    seen, end = set(), time.monotonic() + seconds
    while time.monotonic() < end and app.busy(0.1):
        seen |= {'%s %s' % h for h in handles(path).items()}
    return seen


def beta_in(seen):
    return {s for s in seen if s.startswith('beta ')} - {'beta RESERVED'}


# ---- the scenarios ----

def s01():
    """A wrote and closed, upload pending / B writes / A's upload completes \
first, then B's write is OK, S3 has A's version before B's"""
    a, b, f = App('alpha'), App('beta'), '/late/s01'
    a.run('put("/mnt%s", b"A" * 1000)' % f)
    expect(holds(f, 'alpha', 'FLUSHED'), 'A has flushed', handles(f))
    expect(object_get(f) is None, 'the upload is pending')
    r = b.run('fd = os.open("/mnt%s", os.O_WRONLY); '
              'os.pwrite(fd, b"BB", 999); os.close(fd)' % f)
    figure('B wrote and closed in %.1f s' % r['secs'])
    expect([v[1] for v in versions('s01')][:1] == [1000],
           "A's version is in S3 first", versions('s01'))
    expect('alpha' not in handles(f), 'B took over', handles(f))
    flushed_all()
    expect(object_get(f) == b'A' * 999 + b'BB', "B's version is in S3")
    expect([v[1] for v in versions('s01')] == [1000, 1001],
           'two versions', versions('s01'))
    expect(a.value('get("/mnt%s")' % f) == b'A' * 999 + b'BB',
           'A opens it again and reads what B wrote')


def s02():
    """A wrote, no fsync / B opens with O_TRUNC / B waits until A has \
flushed, A's data intact"""
    a, b, f = App('alpha'), App('beta'), '/plain/s02'
    a.run('put("/mnt%s", b"old")' % f)
    within(20, 'the object', lambda: object_get(f) == b'old')
    expect(b.value('get("/mnt%s")' % f) == b'old', 'B sees it')
    a.run('fd = os.open("/mnt%s", os.O_RDWR)' % f)
    a.run('busy = Busy(fd, b"A" * 3000000)')
    within(10, 'A is active', lambda: holds(f, 'alpha', 'ACTIVE'))
    # Not later: on B it would wait for its own kernel's truncation.
    expect(b.value('get("/mnt%s")' % f) in (b'old', b'A' * 3000000),
           'a reader beside it sees a flushed version')
    b.begin('fd = os.open("/mnt%s", os.O_WRONLY | os.O_TRUNC)' % f)
    seen = watch(f, 4, b)
    expect(b.busy(0.1) and not beta_in(seen), 'B waits', seen)
    expect(a.value('os.pread(fd, 4000000, 0) == b"A" * 3000000'),
           'A reads its own bytes')
    a.run('busy.stop()')
    expect(b.busy(0.1), 'B still waits')
    r = b.end()
    figure('B was let in after %.1f s; seen: %s' %
           (r['secs'], ', '.join(sorted(seen))))
    # The reader may have called for a version in between.
    sizes = [v[1] for v in versions('s02')]
    expect(len(sizes) >= 2 and sizes == [3] + [3000000] * (len(sizes) - 1),
           "A's bytes reached S3 before that", sizes)
    b.run('os.pwrite(fd, b"B", 0); os.close(fd)')
    flushed_all()
    expect(object_get(f) == b'B', "B's version at the end")
    a.run('os.close(fd)')
    expect(a.value('get("/mnt%s")' % f) == b'B', 'A sees it')


def s07():
    """A wrote and closed, upload pending / B reads / gets A's bytes at \
once, upload kicked"""
    a, b, f = App('alpha'), App('beta'), '/late/s07'
    a.run('put("/mnt%s", b"A" * 200000)' % f)
    expect(object_get(f) is None, 'the upload is pending')
    r = b.run('get("/mnt%s") == b"A" * 200000' % f)
    expect(r['value'], "B reads A's bytes")
    figure('B read it in %.2f s' % r['secs'])
    took = within(15, 'the object',
                  lambda: object_get(f) == b'A' * 200000)
    figure('the object was there %.1f s later' % took)
    # And again over a version that B has in its cache.
    a.run('put("/mnt%s", b"a" * 100000)' % f)
    expect(b.value('get("/mnt%s") == b"a" * 100000' % f),
           'close-to-open: B opens it again')
    within(15, 'the second object', lambda: object_get(f) == b'a' * 100000)


def s16():
    """A wrote and closed, B superseded and is active / A writes / refused, \
B's bytes untouched"""
    a, b, f = App('alpha'), App('beta'), '/firm/s16'
    a.run('put("/mnt%s", b"A" * 5000)' % f)
    b.run('fd = os.open("/mnt%s", os.O_RDWR)' % f)
    b.run('busy = Busy(fd, b"B" * 100)')
    took = within(10, 'B is active', lambda: holds(f, 'beta', 'ACTIVE'))
    figure('B took over in %.1f s' % took)
    expect('alpha' not in handles(f), 'A is superseded', handles(f))
    a.run('fd = os.open("/mnt%s", os.O_WRONLY)' % f)
    a.run('os.pwrite(fd, b"late", 50)')
    a.begin('os.fsync(fd)')
    seen = watch(f, 30, a)
    r = a.end(may_fail=True)
    expect(r['errno'] == EACCES, "A's fsync", r, seen)
    figure('A was refused after %.1f s; seen: %s' %
           (r['secs'], ', '.join(sorted(seen))))
    a.fails('os.close(fd)')
    expect(b.value('os.pread(fd, 6000, 0)') == b'B' * 100 + b'A' * 4900,
           'B reads what it wrote')
    b.run('busy.stop(); os.close(fd)')
    flushed_all()
    expect(object_get(f) == b'B' * 100 + b'A' * 4900, "B's file in S3")
    expect(a.value('get("/mnt%s")' % f) == b'B' * 100 + b'A' * 4900,
           'A does not see its refused bytes any more')
    r = a.run('put("/mnt%s", b"A again", os.O_WRONLY)' % f)
    flushed_all()
    expect(object_get(f) == b'A again' + b'B' * 93 + b'A' * 4900,
           'A is a newcomer like any other')


def s38():
    """A streams 200 MiB with an fsync now and then / B wants to write \
meanwhile / B gets in only after A is quiet, A is never refused"""
    a, b, f, mib = App('alpha'), App('beta'), '/plain/s38', 200
    a.begin('stream("/mnt%s", %d, 16)' % (f, mib))
    within(20, 'A is at it', lambda: holds(f, 'alpha', 'ACTIVE'))
    b.run('fd = os.open("/mnt%s", os.O_WRONLY)' % f, 20)
    b.begin('os.pwrite(fd, b"B", 0), os.fsync(fd), time.time()')
    seen = watch(f, 90, a)
    a_begun, a_done, slowest, fsyncs = a.end()['value']
    done = time.monotonic()
    r = b.end()
    waited = time.monotonic() - done
    figure('A: %d MiB in %.1f s, %d fsyncs, slowest call %.2f s' %
           (mib, a_done - a_begun, fsyncs, slowest))
    figure('B got in %.1f s after that' % waited)
    figure('seen meanwhile: ' + ', '.join(sorted(seen)))
    expect(not beta_in(seen), 'B was let in while A was at it', seen)
    flushed_all()
    want = hashlib.sha256(b'B')
    for i in range(mib):
        want.update(((b'%07d ' % i) * (1 << 17))[1 if i == 0 else 0:])
    got = object_get(f)
    expect(got is not None and len(got) == mib << 20, 'its size',
           got and len(got))
    expect(hashlib.sha256(got).digest() == want.digest(),
           "A's bytes with B's one in front")
    expect(len(versions('s38')) == 2, 'two versions', versions('s38'))


def partition(on):
    # Out of the bridge; not down, which the client's driver does not survive.
    subprocess.run(['ip', 'link', 'set', ENV['ALPHA_TAP']] +
                   (['nomaster'] if on else ['master', 'br0']), check=True)


def cut_while_writing(a, f):
    """A's kernel writes a file back, and is cut off before its COMMIT; its
    application goes on a little later.  The moment is short: it may take
    some tries, each with a byte of its own.  The bytes tried."""
    a.run('fd = os.open("/mnt%s", os.O_RDWR | os.O_CREAT)' % f)
    for i in range(20):
        begun = time.monotonic()
        a.begin('os.pwrite(fd, bytes([%d]) * (%d << 20), 0), push(fd), '
                'time.sleep(3), os.pwrite(fd, b"late", %d << 20), '
                'os.fsync(fd), "done"' % (65 + i, CUT_MIB, CUT_MIB + 1))
        left = 0
        while left == 0 and time.monotonic() - begun < 1.5:
            left = uncommitted(f)
        if left:
            partition(True)
            time.sleep(0.1)     # what was on its way
            left = uncommitted(f)
            if left and time.monotonic() - begun < 2.5:
                figure('A was cut off with %d KiB not committed, try %d' %
                       (left >> 10, i + 1))
                return bytes(range(65, 66 + i))
            partition(False)
        a.end()
        a.run('os.truncate("/mnt%s", %d << 20)' % (f, CUT_MIB))
    raise Failed('A could not be caught')


def mixed(data, fills):
    """Whole pages of these bytes, and nothing else; how many of each."""
    count = {}
    for at in range(0, len(data), 4096):
        first = data[at]
        expect(first in fills and
               data[at:at + 4096] == bytes([first]) * len(data[at:at + 4096]),
               'no whole page at %d' % at, data[at:at + 50])
        count[chr(first)] = count.get(chr(first), 0) + 1
    return 'published pages: %s' % count


def s58():
    """A is cut off for longer than its lease, B superseded, A returns with \
pages / EIO for A until it looks the file up, B's file clean"""
    a, b, f = App('alpha'), App('beta'), '/brief/s58'
    a.run('put("/mnt%s", b"o" * (%d << 20))' % (f, CUT_MIB))
    flushed_all()
    try:
        tried = cut_while_writing(a, f)
        r = b.run('put("/mnt%s", b"B" * 100, os.O_WRONLY)' % f)
        figure('B was let in after %.1f s' % r['secs'])
        published = object_get(f)
        # B's own may be there as well by now, in the first page.
        figure(mixed(published[4096:], b'o' + tried))
        expect(not holds(f, 'alpha', 'ACTIVE'), 'A lost it', handles(f))
    finally:
        partition(False)
    r = a.end(100, may_fail=True)
    expect(r['errno'] == EIO, "fsync of A's late bytes", r)
    figure('A had EIO after %.1f s' % r['secs'])
    want = b'B' * 100 + published[100:]
    flushed_all()
    expect(object_get(f) == want, "B's file is clean")
    expect(b.value('hashlib.sha256(get("/mnt%s")).digest()' % f) ==
           hashlib.sha256(want).digest(), 'B reads it')
    a.fails('os.close(fd)')
    expect(a.value('hashlib.sha256(get("/mnt%s")).digest()' % f) ==
           hashlib.sha256(want).digest(), 'A looks again')
    # Its kernel sends no more than a GETATTR for this open, which counts when
    # it has sent no late bytes for a second.
    time.sleep(1.5)
    a.run('put("/mnt%s", b"A again", os.O_WRONLY)' % f)
    flushed_all()
    expect(object_get(f) == b'A again' + want[7:], 'and may write')


def s63():
    """A writes a file that is open / A removes it (.nfsXXXX), writes and \
reads on, closes / all OK, nothing left in S3"""
    a, b, f = App('alpha'), App('beta'), '/plain/s63'
    a.run('os.mkdir("/mnt/plain/d63")')
    f = '/plain/d63/f'
    a.run('put("/mnt%s", b"old" * 1000)' % f)
    within(20, 'the object', lambda: object_get(f) is not None)
    a.run('fd = os.open("/mnt%s", os.O_RDWR)' % f)
    # Writes go on while it is removed.
    a.run('results = []\n'
          'def more():\n'
          '    for i in range(1, 25):\n'
          '        results.append(attempt(lambda: os.pwrite(fd, block(i), '
          'i << 20)))\n'
          '        if i %% 4 == 0:\n'
          '            results.append(attempt(lambda: os.fsync(fd)))\n'
          't = threading.Thread(target=more)\n'
          't.start()\n'
          'time.sleep(0.2)\n'
          'os.unlink("/mnt%s")\n'
          't.join()\n' % f)
    expect(not [r for r in a.value('results') if r[0]], 'writes',
           a.value('results'))
    names = a.value('os.listdir("/mnt/plain/d63")')
    expect(len(names) == 1 and names[0].startswith('.nfs'), 'its new name',
           names)
    a.run('os.pwrite(fd, b"last", 0); os.fsync(fd)')
    expect(a.value('os.pread(fd, 9, 0) + os.pread(fd, 8, 24 << 20)') ==
           b'lastldold' + b'0000024 ', 'A reads it')
    within(20, 'the object is gone', lambda: object_get(f) is None)
    expect('.nfs' not in bucket_names(), 'hidden from S3', bucket_names())
    took = within(40, 'B sees it gone',
                  lambda: b.fails('os.stat("/mnt%s")' % f)['errno'] == 2)
    figure('B saw it gone after %.1f s' % took)
    a.run('os.close(fd)')
    within(10, 'the directory is empty',
           lambda: a.value('os.listdir("/mnt/plain/d63")') == [])
    flushed_all()
    expect('.nfs' not in bucket_names() and 'd63/f' not in bucket_names(),
           'nothing is left', bucket_names())
    expect(not versions(names[0]), 'it never was in S3', calls(names[0]))
    expect(len(versions('f')) == 1, 'only the old one was uploaded',
           versions('f'))
    a.run('os.rmdir("/mnt/plain/d63")')


def s65():
    """A wrote tmp / mv tmp f / f has the new bytes on B and in S3, tmp \
absent, one upload"""
    a, b, f = App('alpha'), App('beta'), '/late/s65'
    a.run('put("/mnt%s", b"old")' % f)
    expect(b.value('get("/mnt%s")' % f) == b'old', 'B has read the old one')
    within(15, 'the old object', lambda: object_get(f) == b'old')
    r = a.value('os.system("echo new >/mnt/late/s65.tmp && '
                'mv /mnt/late/s65.tmp /mnt/late/s65")')
    expect(r == 0, 'echo and mv', r)
    errors = []

    def reads_new():
        r = b.fails('get("/mnt%s")' % f)
        if r['errno']:
            errors.append(r['errno'])
        return r['value'] == b'new\n'
    took = within(70, 'B reads the new one', reads_new)
    figure('B read the new one after %.1f s%s' %
           (took, ', errors before: %s' % errors if errors else ''))
    expect(not errors, "B's opens", errors)
    within(15, 'the new object', lambda: object_get(f) == b'new\n')
    expect(a.value('get("/mnt%s")' % f) == b'new\n', 'A reads it')
    flushed_all()
    expect(object_get(f + '.tmp') is None, 'no tmp in S3')
    expect([v[:2] for v in versions('s65')] == [('put', 3), ('put', 4)],
           'one upload, no copy', versions('s65'))
    expect(not versions('s65.tmp'), 'tmp was never sent',
           versions('s65.tmp'))
    expect(a.fails('os.stat("/mnt%s.tmp")' % f)['errno'] == 2, 'no tmp')


def s12():
    """A is lost without fsync, its lease expires / B writes / what A had \
sent is published first, B OK"""
    a, b, f = App('alpha'), App('beta'), '/brief/s12'
    tried = cut_while_writing(a, f)
    subprocess.run([ENV['KCLIENT'], 'kill', 'alpha'], check=True)
    r = b.run('put("/mnt%s", b"B", os.O_WRONLY)' % f)
    figure('B was let in after %.1f s' % r['secs'])
    published = object_get(f)
    expect(published and versions('s12')[-1][0] in ('put', 'complete'),
           "A's bytes were published first", versions('s12'))
    # B's own may be there as well by now, in the first page.
    figure(mixed(published[4096:], b'\0' + tried))
    flushed_all()
    want = b'B' + published[1:]
    expect(object_get(f) == want, "B's version")
    expect(b.value('hashlib.sha256(get("/mnt%s")).digest()' % f) ==
           hashlib.sha256(want).digest(), 'B reads it')


# The last one leaves A without power.
SCENARIOS = [s01, s02, s07, s16, s38, s58, s63, s65, s12]


def main(argv):
    if argv[1:] == ['list']:
        for s in SCENARIOS:
            print(s.__name__, s.__doc__, sep='\t')
        return 0
    try:
        {s.__name__: s for s in SCENARIOS}[argv[1]]()
    except Failed as e:
        print('%s: line %d: %s' % (
            argv[1], [t.tb_lineno for t in frames(e)][-1], e))
        print('handles: %s' % ctl('handles'))
        return 1
    return 0


def frames(e):
    """Where in the scenario, not in expect()"""
    t = e.__traceback__
    while t:
        if t.tb_frame.f_code.co_name.startswith('s'):
            yield t
        t = t.tb_next


if __name__ == '__main__':
    sys.exit(main(sys.argv))
