"""The `mysql://` source: DoltHub's option chains, served by a Dolt SQL server or any MySQL server."""
