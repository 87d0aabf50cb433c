"""What the load-test scripts share: building, starting, pinning and ending processes. It knows nothing of what is
measured.

Every process that is started is ended by its number when the script ends, however that comes about."""

import atexit
import ctypes
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PEERS = os.path.join(ROOT, "loadtest", "peers")
PR_SET_PDEATHSIG = 1
# Those totals of `drive` that count requests without a whole and right answer; each request is in one of them at most.
LOST = ("wrong", "truncated", "unanswered", "connect_failed", "unreadable", "unfinished")

_children = []
_dir = None


def target():
    """The folder that cargo builds in."""
    return os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target"))


def build(profile, binaries=(), examples=(), features=()):
    """Builds what is named with the given cargo profile and features, and gives the folder it lies in."""
    command = ["cargo", "build", "--quiet", "--profile", profile]
    for name in binaries:
        command += ["--bin", name]
    for name in examples:
        command += ["--example", name]
    for name in features:
        command += ["--features", name]
    subprocess.run(command, cwd=ROOT, check=True)
    return os.path.join(target(), "debug" if profile == "dev" else profile)


def workdir():
    """A folder of its own for this run, removed at the end."""
    global _dir
    if _dir is None:
        _dir = tempfile.mkdtemp(prefix="ringway-loadtest-")
        os.chmod(_dir, 0o755)
    return _dir


def start(command, cpu=None, stdin=None, log=None, env=None):
    """Starts a process, pinned to `cpu` if given. Its standard output can be read; its errors go to the file `log`."""
    libc = ctypes.CDLL(None, use_errno=True)

    def before_exec():
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        if cpu is not None:
            os.sched_setaffinity(0, {cpu})

    with open(os.path.join(workdir(), log or "stderr.log"), "ab") as errors:
        child = subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE, stderr=errors, text=True,
                                 preexec_fn=before_exec, start_new_session=True, env=env)
    _children.append(child)
    return child


def prefer(pids):
    """Puts processes before whatever else runs on this machine, all alike, where that is allowed."""
    for pid in pids:
        try:
            for task in os.listdir(f"/proc/{pid}/task"):
                os.setpriority(os.PRIO_PROCESS, int(task), -15)
            # Each child is a scheduling group of its own, and the kernel shares CPUs between groups first.
            with open(f"/proc/{pid}/autogroup", "w", encoding="ascii") as group:
                group.write("-15")
        except OSError:
            pass


def children():
    """The processes started and not stopped yet, in the order of their start."""
    return list(_children)


def await_line(child, word, seconds=15):
    """Reads lines until one begins with `word`; gives its last field and the lines before it."""
    seen = []
    timer = threading.Timer(seconds, child.kill)
    timer.start()
    try:
        for line in child.stdout:
            seen.append(line.rstrip("\n"))
            if line.startswith(word):
                return line.split()[-1], seen
    finally:
        timer.cancel()
    fail(f"{child.args[0]} ended or said nothing before {word}; it said {seen} and\n{tail_of_logs()}")


class Lines(threading.Thread):
    """Keeps reading what a process says, so that it never blocks on a full pipe, and counts the lines."""

    def __init__(self, child):
        super().__init__(daemon=True)
        self.child, self.count = child, 0
        self.start()

    def run(self):
        for _ in self.child.stdout:
            self.count += 1


def stop(child, signum=signal.SIGTERM, seconds=5):
    """Ends a process and waits for it. Gives its exit code."""
    if child.poll() is None:
        child.send_signal(signum)
        try:
            child.wait(seconds)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
    if child in _children:
        _children.remove(child)
    return child.returncode


def free_port():
    """A port that was free a moment ago, for programs that cannot let the kernel choose."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def await_port(child, address, seconds=10):
    """Waits until something accepts on `address`."""
    host, port = address.rsplit(":", 1)
    end = time.monotonic() + seconds
    while time.monotonic() < end and child.poll() is None:
        try:
            socket.create_connection((host, int(port)), 1).close()
            return
        except OSError:
            time.sleep(0.02)
    fail(f"nothing accepts on {address}:\n{tail_of_logs()}")


def fill(template, name, **values):
    """Fills a template of peers/ in and gives the path of the result. There are no routes but its own unless `ROUTES` is
    given."""
    with open(os.path.join(PEERS, template), encoding="utf-8") as source:
        text = source.read()
    for key, value in {"ROUTES": "", **values}.items():
        text = text.replace(f"@{key}@", str(value))
    path = os.path.join(workdir(), name)
    with open(path, "w", encoding="utf-8") as target:
        target.write(text)
    return path


def start_ringway(folder, config, cpu=None, before=(), seconds=15):
    """Starts Ringway (behind the command `before`, if any); gives the process, its address, its admin's, and what
    counts the lines it says from then on."""
    child, listeners, admin, lines = start_listeners(folder, config, cpu, before, seconds)
    return child, list(listeners.values())[-1], admin, lines


def start_listeners(folder, config, cpu=None, before=(), seconds=15):
    """The same for a Ringway with several listeners: their addresses by their names."""
    child = start([*before, os.path.join(folder, "ringway"), "run", "-c", config], cpu=cpu, log="ringway.log")
    _, lines = await_line(child, "READY", seconds)
    said = [line.split() for line in lines]
    listeners = {words[1]: words[-1] for words in said if words[0] == "LISTEN"}
    admin = next((words[-1] for words in said if words[0] == "ADMIN"), None)
    return child, listeners, admin, Lines(child)


class Fault(SystemExit):
    """A run that could not be made; whoever has others goes on with them."""


class Drive:
    """The load generator and origin, as one process."""

    def __init__(self, folder, cpu=None):
        self.child = start([os.path.join(folder, "examples", "drive")], cpu=cpu, stdin=subprocess.PIPE, log="drive.log")
        self.origin, said = await_line(self.child, "ORIGIN")
        # Its listeners by name: `prompt` and `origin` answer at once, `slow` late, `failing` never.
        self.listeners = {line.split()[0].lower(): line.split()[-1] for line in said}

    def begin(self, **options):
        """Begins a run; `rate=30000` becomes `--rate 30000`, and `True` a flag alone."""
        words = []
        for key, value in options.items():
            if value is not None and value is not False:
                words += [f"--{key.replace('_', '-')}"] + ([] if value is True else [str(value)])
        self.child.stdin.write(" ".join(words) + "\n")
        self.child.stdin.flush()

    def report(self):
        """Waits for the report of the run that was begun."""
        line = self.child.stdout.readline()
        report = json.loads(line) if line else {"fault": f"drive ended:\n{tail_of_logs()}"}
        if "fault" in report:
            raise Fault(report["fault"]) if line else SystemExit(report["fault"])
        return report

    def run(self, **options):
        self.begin(**options)
        return self.report()


def processes(pid):
    """A process and all its descendants."""
    found = [pid]
    for parent in found:
        try:
            for task in os.listdir(f"/proc/{parent}/task"):
                with open(f"/proc/{parent}/task/{task}/children", encoding="ascii") as children:
                    found += [int(child) for child in children.read().split()]
        except OSError:
            pass
    return found


def await_processes(pid, count, seconds=10):
    """Waits until a process and its descendants are so many."""
    end = time.monotonic() + seconds
    while len(processes(pid)) < count:
        if time.monotonic() > end:
            fail(f"process {pid} has not started what it is to start:\n{tail_of_logs()}")
        time.sleep(0.01)


def rss_kib(pid):
    """Resident memory of a process."""
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return next((int(line.split()[1]) for line in status if line.startswith("VmRSS:")), 0)


def pss_kib(pids):
    """Memory of processes, with what some of them share counted once."""
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as sums:
            total += next((int(line.split()[1]) for line in sums if line.startswith("Pss:")), 0)
    return total


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def cpu_ns(pids):
    """CPU time of processes, all their threads, as the scheduler counts it."""
    total = 0
    for pid in pids:
        try:
            for task in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{task}/schedstat", encoding="ascii") as times:
                    total += int(times.read().split()[0])
        except OSError:
            pass
    return total


def output_of(*command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return "absent"
    return (done.stdout + done.stderr).strip().splitlines()[0]


def tail_of_logs():
    text = ""
    for name in sorted(os.listdir(workdir())):
        if name.endswith(".log"):
            with open(os.path.join(workdir(), name), encoding="utf-8", errors="replace") as log:
                text += "".join(f"  {name}: {line}" for line in log.readlines()[-12:])
    return text


def fail(words):
    sys.exit(f"{os.path.basename(sys.argv[0])}: {words}")


def _end():
    for child in list(_children):
        stop(child)
    if _dir is not None:
        shutil.rmtree(_dir, ignore_errors=True)


atexit.register(_end)
for _signal in (signal.SIGTERM, signal.SIGHUP):
    signal.signal(_signal, lambda number, _frame: sys.exit(128 + number))
