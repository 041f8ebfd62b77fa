"""The real servers, as the tests of the deployment have them."""

from tests.components.deployment.conftest import (  # noqa: F401 - fixtures are found by their names
    bucket,
    client,
    keys,
    name,
    register,
    servers,
    triton,
)
