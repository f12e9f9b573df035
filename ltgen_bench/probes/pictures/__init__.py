"""Pictures of what probes find."""
