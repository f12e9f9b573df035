"""What identifies a run and a score: the settings that are hashed, and their presets."""
