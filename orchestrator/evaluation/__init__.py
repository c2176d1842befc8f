"""Questions in, honest figures out: tasks, methods, votes, comparisons and the reports that show them."""
