"""Model servers: endpoints, launch, replicas and their lifecycle."""
