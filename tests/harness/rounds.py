"""How often the tests play what may go wrong only now and then."""

import os

ROUNDS = int(os.environ.get("INFERENCE_GATEWAY_ROUNDS", "0"))
"""Asked for; 0 where the shortest that shows anything will do."""
