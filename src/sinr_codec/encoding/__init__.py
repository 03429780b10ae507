"""An encoding in stages: what is asked for, the job that follows from it, fits, plans, the file, and targets."""
