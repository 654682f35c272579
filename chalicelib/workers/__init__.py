"""The queue, stream and schedule functions: batches in, stages called, outcomes kept.

The only place where the three stages meet. Each module with a `take` is one Lambda function.
"""
