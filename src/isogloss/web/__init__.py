"""The explorer: the cards of `report` behind controls, as a local web page (extra: web)."""
