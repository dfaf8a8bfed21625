"""Population Based Training (Jaderberg 2017): members train in step, the worst take over the best.

`space` and `decisions` are the algorithm, pure and seeded; `member` is a member's folder, `lineage`
who came from whom, `rounds` the loop in step. No study is known here: how a member trains is a
function that is handed over, so that an engine can run it elsewhere.
"""
