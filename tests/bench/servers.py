# SPDX-License-Identifier: Apache-2.0
"""The servers of the benchmark, each started on loopback in the private
network namespace that `run` made: radosgw with its mon and osd, the gateway,
and nfs-ganesha with FSAL_VFS.  Each knows its processes, so that CPU seconds
and peak memory can be told for each case."""

import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time

TICKS = os.sysconf('SC_CLK_TCK')


class Missing(Exception):
    """Something is not installed or cannot run here; the text says what."""


def wait_port(port, process, log, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with socket.socket() as s:
            if s.connect_ex(('127.0.0.1', port)) == 0:
                return
        if process.poll() is not None:
            break
        time.sleep(0.02)
    tail = pathlib.Path(log).read_text(errors='replace')[-1500:]
    raise RuntimeError(f'nothing listens on port {port}; {log} ends:\n{tail}')


def cpu(pid):
    """User and system seconds of a process with all its threads."""
    fields = pathlib.Path(f'/proc/{pid}/stat').read_text().rsplit(')', 1)[1]
    return sum(map(int, fields.split()[11:13])) / TICKS


def reset_peak(pid):
    pathlib.Path(f'/proc/{pid}/clear_refs').write_text('5')


def peak_mib(pid):
    for line in pathlib.Path(f'/proc/{pid}/status').read_text().splitlines():
        if line.startswith('VmHWM:'):
            return int(line.split()[1]) / 1024
    return 0


class Server:
    """Anything with processes; pids() is what is charged for a case."""
    port = 0
    mount_port = 0
    export = ''

    def pids(self):
        raise NotImplementedError


class Rados(Server):
    def __init__(self, top, work):
        self.dir = work / 'rgw'
        self.script = top / 'tests/radosgw.sh'
        env = dict(os.environ, MEMGB='12')
        with open(work / 'rgw.log', 'w') as log:
            r = subprocess.run([self.script, 'start', self.dir, 'bench'],
                               env=env, stdout=subprocess.PIPE, stderr=log,
                               stdin=subprocess.DEVNULL, text=True)
        if r.returncode == 77:
            raise Missing(r.stdout.strip() or 'radosgw is not installed')
        if r.returncode != 0:
            raise RuntimeError((work / 'rgw.log').read_text()[-1000:])
        self.env = {}
        for line in (self.dir / 'env').read_text().splitlines():
            name, _, value = line.removeprefix('export ').partition('=')
            self.env[name] = value

    def pids(self):
        return [int(line.split()[1]) for line in
                (self.dir / 'pids').read_text().splitlines()]

    def collect_garbage(self):
        """Deleted bytes leave radosgw later, in the background: have it done
        between cases rather than in one of them."""
        subprocess.run(['radosgw-admin', '-c', self.env['CEPH_CONF'], 'gc',
                        'process', '--include-all'], check=False,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def stop(self):
        subprocess.run([self.script, 'stop', self.dir], check=False,
                       stderr=subprocess.DEVNULL)


class Daemon(Server):
    """One process of ours or Ganesha's."""
    process = None
    log = None

    def launch(self, argv, env=None):
        with open(self.log, 'a') as log:
            self.process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, env=env)
        wait_port(self.port, self.process, self.log)

    def pids(self):
        return [self.process.pid]

    def kill(self):
        """As a crash would."""
        self.process.kill()
        self.process.wait()

    def stop(self):
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.kill()


class Gateway(Daemon):
    name = 's3nfsd'
    port = mount_port = 12049
    export = '/bench'

    def __init__(self, build, work, rados, settings):
        places = [build / 's3nfsd', build / 'nfsd/s3nfsd']
        self.program = next((p for p in places if os.access(p, os.X_OK)),
                            None)
        if self.program is None:
            raise Missing(f'{places[0]} is not built')
        self.state = work / 'state'
        self.log = work / 's3nfsd.log'
        # Not the machine's own AWS settings.
        self.env = {k: v for k, v in os.environ.items()
                    if not k.startswith('AWS_')} | rados.env
        self.endpoint = rados.env['S3_ENDPOINT']
        self.settings = settings
        self.start()

    def start(self):
        self.state.mkdir(exist_ok=True)
        argv = [self.program, '--bucket', 's3://bench', '--endpoint',
                self.endpoint, '--listen', f'127.0.0.1:{self.port}',
                '--portmap', 'off', '--state-dir', self.state]
        for setting in self.settings:
            argv += ['--set', setting]
        self.launch(argv, self.env)

    def fresh(self):
        """Start anew with nothing on disk: every cache is cold."""
        self.stop()
        shutil.rmtree(self.state)
        self.start()


GANESHA_CONF = '''
NFS_CORE_PARAM {{ Protocols = 3; NFS_Port = {port}; MNT_Port = {mount_port};
  Enable_NLM = false; Enable_RQUOTA = false; Enable_UDP = false;
  mount_path_pseudo = false; Plugins_Dir = {plugins}; }}
NFSV4 {{ Graceless = true; }}
EXPORT {{ Export_Id = 1; Path = {export}; Pseudo = /bench; Access_Type = RW;
  Squash = None; SecType = sys; Protocols = 3; Transports = TCP;
  PrivilegedPort = false; MaxRead = 1048576; MaxWrite = 1048576;
  PrefRead = 1048576; PrefWrite = 1048576; FSAL {{ Name = VFS; }} }}
LOG {{ Default_Log_Level = EVENT; }}
'''


class Ganesha(Daemon):
    """Debian's, as it comes but for transfer sizes of 1 MiB like ours.  It
    insists on an rpcbind, so there is one in our namespace."""
    name = 'ganesha'
    port = 13049
    mount_port = 13050

    def __init__(self, work):
        plugins = sorted(pathlib.Path('/usr/lib').glob('*/ganesha'))
        for program in ('ganesha.nfsd', 'rpcbind'):
            if shutil.which(program) is None:
                raise Missing(f'{program} is not installed')
        if not plugins or not (plugins[0] / 'libfsalvfs.so').exists():
            raise Missing('nfs-ganesha-vfs is not installed')
        self.dir = work / 'ganesha'
        self.dir.mkdir()
        self.export = str(self.dir)
        self.log = work / 'ganesha.log'
        self.conf = work / 'ganesha.conf'
        self.conf.write_text(GANESHA_CONF.format(
            port=self.port, mount_port=self.mount_port, export=self.export,
            plugins=plugins[0]))
        pathlib.Path('/run/ganesha').mkdir(exist_ok=True)
        self.rpcbind = subprocess.Popen(['rpcbind', '-f'],
                                        stdin=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        wait_port(111, self.rpcbind, os.devnull)
        self.start()

    def start(self):
        self.launch(['ganesha.nfsd', '-F', '-f', self.conf, '-L', self.log,
                     '-p', '/run/ganesha/pid', '-N', 'NIV_EVENT'])
