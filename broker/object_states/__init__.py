"""What is known of the objects behind each `object_store` trigger."""
