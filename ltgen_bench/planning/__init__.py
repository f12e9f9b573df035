"""From what the user asked for to the jobs that are to be done."""
