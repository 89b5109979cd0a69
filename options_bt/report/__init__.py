"""The report room: a run as one HTML page that opens offline, and its charts as images."""
