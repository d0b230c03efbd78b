"""The near-duplicate benchmark's parts: corpus, truth, contenders, scores."""
