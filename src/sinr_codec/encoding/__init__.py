"""The stages of an encoding: request, job, fits, plans, file, and targets."""
