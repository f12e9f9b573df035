"""Pictures of boards: what each shows as plain data, and how that is drawn."""
