"""`duckmf report`: one HTML file that shows a model, to open anywhere, without a network."""

from duckmf.report.request import HeldOut, ReportRequest, TitlesAndColors
from duckmf.report.writer import write

__all__ = ["HeldOut", "ReportRequest", "TitlesAndColors", "write"]
