"""The jobs of `benchmarks.jobs.jobs` done by streamsketch, by Beam one element at a time, by Spark and by DuckDB.

    python -m benchmarks.jobs --events 10000000 --rounds 5

Each system lives in a process of its own and may use two cores. Round by round every system does every job, so that
what else the machine does falls on all; a first round warms up, and is told apart. CPU is that of the process and all
its children, a JVM included. Answers are compared with exact ones in every round.
"""
