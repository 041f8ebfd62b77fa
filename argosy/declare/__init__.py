"""What a component and a pipeline say of themselves: inputs, outputs, container, resources, schedule."""
