"""A whole Lightswitch under test: started as an operator does, used through its API."""
