"""The load test as locust runs it: `DEPLOYKIT_LOADTEST=run/loadtest.json locust -f locustfile.py --headless -u 1`.

It leaves `samples.jsonl`, `generator.json` and `progress.json` beside `loadtest.json`. The API key, where one is
needed, comes by DEPLOYKIT_API_KEY.
"""

from user import Conductor

__all__ = ["Conductor"]
