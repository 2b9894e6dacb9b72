# Runs a command and says on standard error, as the last line, its seconds and the kilobytes that it had resident at most.
import resource
import subprocess
import sys
import time

began = time.monotonic()
status = subprocess.call(sys.argv[1:])
seconds = time.monotonic() - began
print(f"{seconds:.3f} {resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss}", file=sys.stderr)
sys.exit(status)
