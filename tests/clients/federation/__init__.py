"""Several servers on one street: each has a domain, a certificate of the test's own authority, an address
on loopback with the standard ports, and names in the test's own DNS. All of it lives in a network namespace
that no packet leaves (`namespace.py`). Journeys begin with `street.py`."""
