# SPDX-License-Identifier: Apache-2.0
"""Programs in processes of their own, in turns: seconds, peak memory, what they printed. Imports nothing large: Linux counts the peak of
the process that starts another into the other's peak."""
import ctypes
import mmap
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent


@dataclass
class Measured:
    seconds: float  # from start to end of the process
    resident_bytes: int  # its peak
    device_bytes: int  # the peak of what the GPU had in use beyond what it had before, sampled ten times a second
    out: str
    failed: str = ""


class DeviceMemory:
    """What nvidia-smi says is in use, while the block runs; nothing on a CPU. The same for every program, allocators aside."""

    def __init__(self, device):
        self.sampler, self.peak = None, 0
        if device == "cuda":
            self.file = tempfile.TemporaryFile("w+")
            command = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits", "-i", "0", "-lms", "100"]
            self.sampler = subprocess.Popen(command, stdout=self.file)
            time.sleep(0.5)  # the first samples are those of before

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.sampler:
            self.sampler.terminate()
            self.sampler.wait()
            self.file.seek(0)
            samples = [int(line) for line in self.file.read().splitlines() if line.strip().isdigit()]
            self.peak = (max(samples) - samples[0]) << 20 if samples else 0


def run(command, device="cpu", environment=None):
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as errors:
        with DeviceMemory(device) as memory:
            start = time.perf_counter()
            process = subprocess.Popen([str(part) for part in command], stdout=out, stderr=errors, env={**os.environ, **(environment or {})})
            _, status, usage = os.wait4(process.pid, 0)
            seconds = time.perf_counter() - start
            process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0), errors.seek(0)
        said = errors.read().strip().splitlines()
        failed = "" if process.returncode == 0 else (said[-1][:160] if said else f"exit code {process.returncode}")
        return Measured(seconds, usage.ru_maxrss * 1024, memory.peak, out.read(), failed)


def in_turns(programs, repeats):
    """programs: name → function that runs one. Forwards and backwards in turn (ABBA): a drift of the machine hits all alike. Returns name →
    list of results; a program that fails is left out from then on, with its reason."""
    results, failed = {name: [] for name in programs}, {}
    for turn in range(repeats):
        for name in list(programs) if turn % 2 == 0 else list(reversed(programs)):
            if name in failed:
                continue
            result = programs[name]()
            results[name].append(result)
            said = result.failed or f"{result.seconds:.1f} s"
            print(f"turn {turn + 1} of {repeats}, {name}: {said}", file=sys.stderr, flush=True)
            if result.failed:
                failed[name] = result.failed
    return results, failed


def median(results, of):
    return statistics.median(of(result) for result in results)


def write_random(folder, name, device):
    subprocess.run([sys.executable, str(HERE / "random_teacher.py"), str(folder), name, device], check=True, stdout=subprocess.DEVNULL)


def forget(files):
    """Asks the system to drop the files from its page cache, as far as it does that for anyone. Returns the share of them that stayed."""
    stayed = total = 0
    for file in files:
        descriptor = os.open(file, os.O_RDONLY)
        os.fsync(descriptor)  # what is not on the disk yet cannot be dropped
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        size = os.fstat(descriptor).st_size
        stayed, total = stayed + resident(descriptor, size), total + size
        os.close(descriptor)
    return stayed / max(total, 1)


def resident(descriptor, size):
    """Bytes of a file that are in the page cache. The map touches none of them."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype, libc.mmap.argtypes = ctypes.c_void_p, [ctypes.c_void_p, ctypes.c_size_t] + 3 * [ctypes.c_int] + [ctypes.c_long]
    page = mmap.PAGESIZE
    here = libc.mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED, descriptor, 0)
    pages = (ctypes.c_ubyte * ((size + page - 1) // page))()
    libc.mincore(ctypes.c_void_p(here), ctypes.c_size_t(size), pages)
    libc.munmap(ctypes.c_void_p(here), ctypes.c_size_t(size))
    return min(size, page * sum(value & 1 for value in pages))
