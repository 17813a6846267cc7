"""How many requests are generated.

``make test`` sends some hundreds. Ten thousand:

    pytest tests/contract/test_generated_requests.py --hypothesis-profile=ten-thousand
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings

ALWAYS = {
    "database": None,
    "deadline": None,
    "derandomize": True,
    "suppress_health_check": list(HealthCheck),
}
settings.register_profile("some-hundreds", max_examples=600, **ALWAYS)
settings.register_profile("ten-thousand", max_examples=10_000, **ALWAYS)
if settings.get_current_profile_name() != "ten-thousand":
    settings.load_profile("some-hundreds")
