"""The card of an exported model: Markdown with the front matter that model hubs read."""
