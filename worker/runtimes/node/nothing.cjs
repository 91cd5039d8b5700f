// Loading it loads what loads modules of this kind.
