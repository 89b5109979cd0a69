"""DoltHub's tables on a Dolt server, or on any other that speaks MySQL's protocol."""
