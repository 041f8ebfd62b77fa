"""6. Move `live` to the deployed version and `previous` to the one before."""

from common import MODEL, client, read

version = read("model_version.txt")
before = client.get_registered_model(MODEL).aliases.get("live")
if before and before != version:
    client.set_registered_model_alias(MODEL, "previous", before)
client.set_registered_model_alias(MODEL, "live", version)
client.set_model_version_tag(MODEL, version, "triton.version", read("triton_version.txt"))
