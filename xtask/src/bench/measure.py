# Runs a command and says on standard error, as the last line, its seconds, those of the processors that it used, and the
# kilobytes that it had resident at most. It may have nine tenths of the memory that is free: beyond, it fails alone.
import resource
import subprocess
import sys
import time

with open("/proc/meminfo", encoding="ascii") as lines:
    available = next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable"))
most = available * 1024 * 9 // 10
resource.setrlimit(resource.RLIMIT_DATA, (most, most))
began = time.monotonic()
status = subprocess.call(sys.argv[1:])
seconds = time.monotonic() - began
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(f"{seconds:.3f} {used.ru_utime + used.ru_stime:.3f} {used.ru_maxrss}", file=sys.stderr)
sys.exit(status)
