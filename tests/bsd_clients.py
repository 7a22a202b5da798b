#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What check-bsd does with three kernels: FreeBSD, OpenBSD (both booted by
$BSDCLIENT), and Linux (a client of tests/kclient).  Each BSD comes through a
forwarder of its own, from an address of its own, so that they are two."""
import os
import socket
import subprocess
import sys
import threading
import time

LINUX = '/mnt/b/'
SOURCES = {'freebsd': '127.0.0.11', 'openbsd': '127.0.0.12'}
SEEN = 20        # seconds until another kernel's caches have let go
BUCKET = os.environ['BUCKET_DIR']


def pump(a, b):
    try:
        while data := a.recv(262144):
            b.sendall(data)
    except OSError:
        pass
    for s in (a, b):
        try:
            s.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def forward(source):
    listener = socket.create_server(('127.0.0.1', 0))

    def run():
        while True:
            a, _ = listener.accept()
            b = socket.create_connection(('127.0.0.1', 2049),
                                         source_address=(source, 0))
            for pair in ((a, b), (b, a)):
                threading.Thread(target=pump, args=pair, daemon=True).start()
    threading.Thread(target=run, daemon=True).start()
    return listener.getsockname()[1]


class Bsd:
    def __init__(self, kind):
        self.name = kind
        self.process = subprocess.Popen(
            [os.environ['BSDCLIENT'], kind, '--timeout', '900',
             f'127.0.0.1:{forward(SOURCES[kind])}:/bucket'],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def answer(self):
        line = self.process.stdout.readline().rstrip('\n').split('\t')
        if len(line) < 2:
            raise SystemExit(f'FAIL {self.name} is gone')
        return line

    def do(self, command):
        print(command, file=self.process.stdin, flush=True)
        line = self.answer()
        return line[1] == 'ok', line[1] + ' ' + line[-1]

    def has(self, name, size, seed):
        return self.do(f'check {name} {size} {seed}')[0]


class Linux:
    name = 'linux'

    def shell(self, command):
        p = subprocess.run([os.environ['KCLIENT'], 'run', '-t', '120', 'alpha',
                            command], capture_output=True, text=True)
        return p.returncode == 0, (p.stdout + p.stderr).strip()

    def do(self, command):
        verb, *rest = command.split()
        words = [LINUX + rest[0]] + [LINUX + w for w in rest[1:]]
        if verb == 'append':
            return self.shell(f"printf %{rest[1]}s x >>{words[0]}")
        if verb == 'chmod':
            words = [rest[0], LINUX + rest[1]]
        return self.shell(' '.join([verb] + words))

    def size(self, name):
        done, text = self.shell(f'stat -c %s {LINUX}{name}')
        return int(text) if done else -1


def within(seconds, condition, what):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise SystemExit(f'FAIL not within {seconds} s: {what}')
        time.sleep(0.2)


def sure(result, what):
    if not result[0]:
        raise SystemExit(f'FAIL {what}: {result[1]}')


def in_bucket(name):
    path = os.path.join(BUCKET, name)
    return os.path.getsize(path) if os.path.exists(path) else -1


def took(label, call, what):
    begin = time.monotonic()
    sure(call(), what)
    print(f'    {label}: {time.monotonic() - begin:.1f} s', flush=True)


def story(writer, other, linux):
    """One BSD writes and closes, without COMMIT; the others come."""
    n = writer.name
    sure(writer.do(f'write {n}.a 102400 7'), 'write')
    within(SEEN, lambda: linux.size(f'{n}.a') == 102400, 'Linux sees the end')
    within(SEEN, lambda: other.has(f'{n}.a', 102400, 7), 'a BSD sees it')
    within(SEEN, lambda: in_bucket(f'{n}.a') == 102400, 'the bucket has it')
    sure(writer.do(f'append {n}.a 51200 7'), 'append')
    within(SEEN, lambda: linux.size(f'{n}.a') == 153600, 'Linux sees more')
    within(SEEN, lambda: other.has(f'{n}.a', 153600, 7), 'a BSD sees more')
    sure(writer.do(f'patch {n}.a 0 4096 7'), 'patch')
    took('mv by the other BSD', lambda: other.do(f'mv {n}.a {n}.b'), 'mv')
    within(SEEN, lambda: in_bucket(f'{n}.b') == 153600, 'under its new name')
    sure(writer.do(f'write {n}.c 10240 3'), 'write')
    took('rm by Linux', lambda: linux.do(f'rm {n}.c'), 'rm')
    within(SEEN, lambda: in_bucket(f'{n}.c') == -1, 'removed')
    sure(writer.do(f'write {n}.d 10240 3'), 'write')
    took('chmod by Linux', lambda: linux.do(f'chmod 600 {n}.d'), 'chmod')
    within(SEEN, lambda: linux.size(f'{n}.d') == 10240, 'Linux sees all')
    took('append by Linux', lambda: linux.do(f'append {n}.d 100'), 'append')
    within(SEEN, lambda: in_bucket(f'{n}.d') == 10340, 'both in the bucket')
    # It is told of that, too, and goes on.
    within(SEEN, lambda: ' 10340 ' in writer.do(f'stat {n}.d')[1], 'its stat')
    sure(writer.do(f'append {n}.d 60 3'), 'append')
    within(SEEN, lambda: in_bucket(f'{n}.d') == 10400, 'its own after that')


def main():
    bsds = [Bsd('freebsd'), Bsd('openbsd')]
    linux = Linux()
    for b in bsds:
        if b.answer()[1] != 'ok':
            raise SystemExit(f'FAIL {b.name} does not mount')
    print('    both are up', flush=True)
    story(bsds[0], bsds[1], linux)
    story(bsds[1], bsds[0], linux)
    for b in bsds:
        b.process.stdin.close()
        b.process.wait(60)
    return 0


if __name__ == '__main__':
    sys.exit(main())
