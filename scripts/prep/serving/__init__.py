"""Model servers: configuration, endpoints, launch, replicas and their lifecycle."""
