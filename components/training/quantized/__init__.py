"""int8 and fp16 variants of a model, and the gate of their own."""
