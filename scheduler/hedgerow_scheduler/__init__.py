"""The scheduler, its metadata database, the HTTP API and the operator's commands."""
