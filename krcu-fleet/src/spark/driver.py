"""Driver: hands packs of traces, or one question, to a Spark cluster, for `krcu fleet --on`.

A job is one object of JSON on standard input. Results are lines of JSON on standard output; progress and complaints go to
standard error. Nothing here knows what a trace is: a task runs `krcu-analyze facts`, and a question is SQL.
"""

import json
import os
import subprocess
import sys
import threading


def replay_pack(pack, fleet, again):
    """Runs in a task: replays the traces of a pack, and gives back the lines and what failed."""
    from pyspark import SparkFiles

    program = SparkFiles.get("krcu-analyze")
    os.chmod(program, 0o755)
    command = [program, "facts", "--fleet", fleet] + (["--again"] if again else [])
    lines, failed, rest, tries = [], [], list(pack), 0
    while rest:
        run = subprocess.run(command, input="\n".join(rest), capture_output=True, text=True)
        new = run.stdout.splitlines()
        lines += new
        rest = rest[len(new):]
        tries = 1 if new else tries + 1
        if run.returncode == 0:
            break
        why = run.stderr.strip() or f"exit status {run.returncode}"
        if tries >= 2 and rest:
            failed.append([rest[0], why])
            rest, tries = rest[1:], 0
        if len(failed) >= 3:
            # What is wrong is not the traces'.
            failed += [[trace, why] for trace in rest]
            break
    return lines, failed


def watch(context, ended):
    """Tells on standard error how far each stage is."""
    tracker, told = context.statusTracker(), {}
    while not ended.wait(0.1):
        for stage in tracker.getActiveStageIds():
            info = tracker.getStageInfo(stage)
            if info and told.get(stage) != info.numCompletedTasks:
                told[stage] = info.numCompletedTasks
                print(f"stage {stage}: {info.numCompletedTasks} of {info.numTasks} tasks", file=sys.stderr, flush=True)


def replay(session, job):
    context = session.sparkContext
    context.addFile(job["program"])
    fleet, again, packs = job["fleet"], job["again"], job["packs"]
    done = context.parallelize(packs, max(1, len(packs))).map(lambda pack: replay_pack(pack, fleet, again))
    # Results come as the tasks' jobs end; the ledger has each trace as soon as it is done.
    for lines, failed in done.collect():
        for line in lines:
            print(line)
        for trace, complaint in failed:
            print(json.dumps({"failed": trace, "why": complaint}))


def ask(session, job):
    for table, files in job["files"].items():
        session.read.parquet(*files).createOrReplaceTempView(table)
    for row in session.sql(job["sql"]).collect():
        print(json.dumps(list(row), ensure_ascii=False))


def main():
    try:
        from pyspark.sql import SparkSession
    except ImportError as error:
        sys.exit(f"this Python has no PySpark ({error}): install pyspark into an environment, and name its Python with --python")
    job = json.load(sys.stdin)
    builder = SparkSession.builder.master(job["master"]).appName(f"krcu fleet {job['verb']}")
    for name, value in job["settings"].items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    ended = threading.Event()
    thread = threading.Thread(target=watch, args=(session.sparkContext, ended), daemon=True)
    thread.start()
    try:
        {"replay": replay, "ask": ask}[job["verb"]](session, job)
    finally:
        ended.set()
        thread.join()
        session.stop()


if __name__ == "__main__":
    main()
