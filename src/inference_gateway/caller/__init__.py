"""What everybody who calls a gateway shares: the client, the test tool and the check.

The API key of the environment, certificates, a limit on silence, the files of folders. It needs nothing but
the standard library, so that the check goes without an HTTP client.
"""
