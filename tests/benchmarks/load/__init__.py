"""The callers of Lightswitch: signed requests made beforehand, sent as fast as the answers come."""
