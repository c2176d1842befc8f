"""Texts and scores in, rankings of experts out. Knows no engine and no prompt."""
