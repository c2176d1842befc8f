"""The demo zoo's data: adapters, their training specifications, and `zoo.yaml`, by version."""
