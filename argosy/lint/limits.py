"""How much the linter says before it stops."""

# One object with its aliases written out, in bytes, as etcd takes it.
MAX_OBJECT_BYTES = 1_572_864
# Findings of one rule in one document; whoever has more will not read them.
MAX_FINDINGS = 1_000
