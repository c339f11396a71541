"""What `celery -A` loads in the benchmark's worker."""

from celery_app import worker_app

app = worker_app()
