"""The seed scenario, from an uploaded picture to a message about its thumbnail: `make demo`."""
