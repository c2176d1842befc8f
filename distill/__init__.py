"""Transcripts -> interaction graphs -> student (to come; see docs/status.md)."""
