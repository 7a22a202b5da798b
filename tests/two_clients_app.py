# SPDX-License-Identifier: Apache-2.0
"""Runs in a client of check-two-clients: applications on demand.

Each TCP connection is one application, a process of its own.  It takes lines
of JSON {"code": PYTHON}, runs them one after the other in one name space, and
answers {"value": repr of the expression's value, "errno": 0 or of an OSError,
"error": traceback, "secs": how long it took, "at": this client's clock}.
"""
import ctypes
import hashlib
import json
import os
import socket
import sys
import threading
import time
import traceback

libc = ctypes.CDLL(None, use_errno=True)


def push(fd):
    """Have the kernel write back, without waiting (sync_file_range(2) with
    WRITE): UNSTABLE WRITEs, and one COMMIT behind the last of them."""
    if libc.sync_file_range(fd, ctypes.c_int64(0), ctypes.c_int64(0), 2):
        raise OSError(ctypes.get_errno(), 'sync_file_range')


class Busy(threading.Thread):
    """A writer that is never quiet for long: the kernel commits by itself
    after each pass, so that this is what being active means."""
    def __init__(self, fd, data):
        super().__init__()
        self.fd, self.data, self.go = fd, data, True
        self.start()

    def run(self):
        while self.go:
            os.pwrite(self.fd, self.data, 0)
            push(self.fd)
            time.sleep(0.1)

    def stop(self):
        self.go = False
        self.join()
        os.fsync(self.fd)


def put(path, data, flags=os.O_WRONLY | os.O_CREAT | os.O_TRUNC):
    """Written and closed, which is flushed."""
    fd = os.open(path, flags, 0o644)
    try:
        os.pwrite(fd, data, 0)
    finally:
        os.close(fd)


def get(path):
    with open(path, 'rb') as f:
        return f.read()


def block(i):
    return (b'%07d ' % i) * (1 << 17)


def stream(path, mib, fsync_mib):
    """Blocks as fast as they go, flushed now and then."""
    slowest, begun, fsyncs = 0, time.time(), 0
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    for i in range(mib):
        t = time.time()
        if os.pwrite(fd, block(i), i << 20) != 1 << 20:
            raise OSError(5, 'short write')
        if i % fsync_mib == fsync_mib - 1:
            os.fsync(fd)
            fsyncs += 1
        slowest = max(slowest, time.time() - t)
    os.close(fd)
    return begun, time.time(), slowest, fsyncs


def attempt(function):
    """errno, 0 if it went well, and how long it took"""
    t = time.time()
    try:
        function()
        return 0, time.time() - t
    except OSError as e:
        return e.errno, time.time() - t


def answer(space, code):
    reply = {'value': 'None', 'errno': 0, 'error': ''}
    t = time.monotonic()
    try:
        try:
            program = compile(code, 'app', 'eval')
        except SyntaxError:
            exec(code, space)
        else:
            reply['value'] = repr(eval(program, space))
    except OSError as e:
        reply['errno'] = e.errno
        reply['error'] = str(e)
    except Exception:
        reply['errno'] = -1
        reply['error'] = traceback.format_exc()
    reply['secs'] = time.monotonic() - t
    reply['at'] = time.time()
    return reply


def application(conn):
    space = {k: v for k, v in globals().items() if not k.startswith('_')}
    for line in conn.makefile('r'):
        reply = answer(space, json.loads(line)['code'])
        conn.sendall(json.dumps(reply).encode() + b'\n')


def main():
    listener = socket.create_server(('0.0.0.0', int(sys.argv[1])), backlog=16)
    while True:
        conn, _ = listener.accept()
        conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if os.fork() == 0:
            listener.close()
            application(conn)
            os._exit(0)
        conn.close()
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            pass


main()
