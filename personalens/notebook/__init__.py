"""What labs use beside boto3: sessions, checks, progress bars, plots."""
