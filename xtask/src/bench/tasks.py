"""Times jobs of empty tasks on a Spark cluster: `tasks.py MASTER TASKS...` prints the seconds of a job of each number of tasks."""

import sys
import time

from pyspark.sql import SparkSession

master, *counts = sys.argv[1:]
builder = SparkSession.builder.master(master).appName("krcu bench fleet")
for name, value in {"spark.driver.host": "127.0.0.1", "spark.ui.enabled": "false", "spark.ui.showConsoleProgress": "false"}.items():
    builder = builder.config(name, value)
session = builder.getOrCreate()
session.sparkContext.setLogLevel("ERROR")


def seconds_of(tasks):
    began = time.monotonic()
    session.sparkContext.parallelize(range(tasks), tasks).map(lambda number: number).count()
    return time.monotonic() - began


# Executors and their Pythons start with the first job.
seconds_of(int(counts[0]))
print(" ".join(f"{seconds_of(int(count)):.3f}" for count in counts))
session.stop()
