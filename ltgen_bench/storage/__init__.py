"""Files that survive a crash: atomic writes, locks and a cache of arrays."""
