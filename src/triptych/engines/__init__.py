"""Engines train in other places than this process: `ray`, an optional extra, over a Ray cluster.

The local engine needs nothing of this: it is a plain loop in `population` and in `compare`. An
engine is handed a study's functions and knows no study. The run folder stays with the process that
was started, the driver: workers get files of it, train in a folder of their own, and give files
back, so no disk is shared. Whatever a worker did is lost with it and done again by another, to the
same bytes.
"""
