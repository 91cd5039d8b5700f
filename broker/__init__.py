"""What the processes of Lightswitch share: messages, lanes, the registry and their state."""
