"""The gateway: OpenAI's API in front of Cog servers of this package, over their HTTP. Knows no engine and no torch.

A request's way: `door` (who asks, how much, how long) → a route (`chat`, `responses`, …) → `asking` and `documents`
(what is asked, of which document) → `reader` → `turns` (whose turn it is, at which server) → `servers` (Cog's HTTP).
"""
