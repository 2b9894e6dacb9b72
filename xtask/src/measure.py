# Runs a command and says on standard error, as the last line, its seconds, those of the processors that it used, and the
# kilobytes that it had resident at most.
import resource
import subprocess
import sys
import time

began = time.monotonic()
status = subprocess.call(sys.argv[1:])
seconds = time.monotonic() - began
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(f"{seconds:.3f} {used.ru_utime + used.ru_stime:.3f} {used.ru_maxrss}", file=sys.stderr)
sys.exit(status)
