"""panic_assets: a laboratory for feedback loops of generative models."""
