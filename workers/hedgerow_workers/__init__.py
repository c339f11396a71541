"""The worker: takes a team's orders from Celery, has them run in the team's own interpreter, reports events."""
