"""How much the linter reads before it says that a file is not a manifest."""

# Kubernetes refuses an object of more than 1.5 MiB; a file may hold many objects.
MAX_BYTES = 16 * 1024 * 1024
# Documents of one file.
MAX_DOCUMENTS = 5_000
# An Argo manifest nests about 20 levels, with an inline template about 40.
MAX_DEPTH = 100
# Values of one document after aliases are written out. More do not fit into an object of Kubernetes.
MAX_VALUES = 300_000
# One object with its aliases written out, in bytes, as etcd takes it.
MAX_OBJECT_BYTES = 1_572_864
# Findings of one rule in one document; whoever has more will not read them.
MAX_FINDINGS = 1_000
