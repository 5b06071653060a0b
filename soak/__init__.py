"""Minutes of mixed good and bad traffic against `inference-gateway serve`: does anything leak?"""
