"""Generated tasks whose test questions differ from training questions in wording, names and things, not only numbers.

One file per task: facts drawn at random, a fixed style of solution, and the wordings of each split. `wording` joins
them to a `Task`; `vocabulary` holds the names, things and words that each split may use.
"""
