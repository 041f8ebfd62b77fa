"""How much the linter reads before it says that a file is not a manifest."""

# Kubernetes refuses an object of more than 1.5 MiB; a file may hold many objects.
MAX_BYTES = 32 * 1024 * 1024
# An Argo manifest nests about 20 levels, with an inline template about 40.
MAX_DEPTH = 100
# Values after aliases are written out; a 10,000-task manifest has about 300,000.
MAX_VALUES = 1_000_000
# One object with its aliases written out, in bytes, as etcd takes it.
MAX_OBJECT_BYTES = 1_572_864
