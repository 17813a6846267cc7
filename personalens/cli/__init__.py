"""The commands of a shell, and what they run: the doctor, the labs, backups."""
