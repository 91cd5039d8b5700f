"""Celery and Dramatiq, as their documentation says they are fastest."""
