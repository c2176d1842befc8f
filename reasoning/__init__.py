"""What a model thinks, apart from what it replies: `text` separates a whole text, `stream` a reply while it arrives.

Agents read recorded replies with it, engines and remote servers deliver theirs through it. It imports nothing.
"""
