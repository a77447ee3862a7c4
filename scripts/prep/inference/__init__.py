"""Requests to chat-completion endpoints: retry, concurrency limits, streaming, journal."""
