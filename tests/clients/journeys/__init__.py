"""Journeys: what people do, from start to end. Each module has SERVERS, the servers it makes sense with, and
`go(server, directory)`, which starts the server itself."""
