"""Transcripts -> interaction graphs -> student (MAGDi, https://arxiv.org/abs/2402.01620). Imports `agents` alone.

`graph` turns a transcript into a networkx graph, `statistics` says who convinced whom. `pairs` makes a lesson of a
graph at one of four levels, `corpus` streams files of transcripts into a file of lessons. `train` teaches a student
(`specification`, `network`, `rows`, `losses`, `encoder`, `checkpoint`, `memory`), `student` writes it down. Modules
that import torch at their top say so and are imported where training starts.
"""
