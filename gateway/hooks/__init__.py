"""Where others post what happened: object stores and topics."""
