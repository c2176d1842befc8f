"""The mixture as one artefact: fitted once from a profile, stored, and used alike by run, eval-router, SDK and service.

`fit` makes it, `store` keeps it, `fitted` is what it holds, `deciding` answers one question with it.
"""
